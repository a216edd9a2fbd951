"""Labels messages, or holds talks, in a process of its own. Run: python http_agent.py 8080"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from openai import OpenAI


class Agent(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        address, key = self.headers["X-OpenAI-Base-Url"], self.headers["X-OpenAI-Api-Key"]
        inputs, system = asked["inputs"], asked["prompts"]["system"]
        told = inputs.get("messages") or [{"role": "user", "content": inputs["message"]}]
        messages = [{"role": "system", "content": system}, *told]
        client = OpenAI(base_url=address, api_key=key)
        said = client.chat.completions.create(model="gpt-4o-mini", messages=messages)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"output": said.choices[0].message.content}).encode())


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Agent).serve_forever()
