"""Labels a customer's message: an agent in a process of its own. Run: python http_agent.py 8080"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from openai import OpenAI


class Agent(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        address, key = self.headers["X-OpenAI-Base-Url"], self.headers["X-OpenAI-Api-Key"]
        roles = {"system": asked["prompts"]["system"], "user": asked["inputs"]["message"]}
        messages = [{"role": role, "content": text} for role, text in roles.items()]
        client = OpenAI(base_url=address, api_key=key)
        said = client.chat.completions.create(model="gpt-4o-mini", messages=messages)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"output": said.choices[0].message.content}).encode())


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Agent).serve_forever()
