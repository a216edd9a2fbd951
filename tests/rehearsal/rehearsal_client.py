"""Plain HTTP to a running rehearsal endpoint, and what a request to its roles looks like."""

from __future__ import annotations

import http.client
import json
import re
from typing import Any
from urllib.parse import urlsplit

from cornerman.rehearsal.request import ChatRequest, Message
from cornerman.rehearsal.roles import reply_to

Json = dict[str, Any]


def messages(system: str, user: str) -> list[Json]:
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def reply(role: str, system: str, user: str, **fields: Any) -> str:
    """A role's reply without a server in between."""
    said = (Message("system", system), Message("user", user))
    server_seed = fields.pop("server_seed", 0)
    return reply_to(ChatRequest(role=role, messages=said, **fields), server_seed)


def case_block(case: Json, output: str, score: float) -> str:
    return (
        f'<case id="{case["id"]}">\ninputs: {json.dumps(case["inputs"])}\n'
        f"expected: {case['expected_output']}\noutput: {output}\nscore: {score}\n"
        "reason: -\n</case>"
    )


def rewrite_of(answer: str) -> str:
    found = re.search(r"<rewrite>\s*(.*?)\s*</rewrite>", answer, re.DOTALL)
    assert found, answer
    return found[1]


class Connection:
    """One kept-alive connection."""

    def __init__(self, base_url: str) -> None:
        self._http = http.client.HTTPConnection(urlsplit(base_url).netloc, timeout=30)

    def send(self, method: str, path: str, body: Any = None, role: str = "") -> tuple[int, str]:
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        self._http.request(method, path, raw, {"X-Cornerman-Role": role} if role else {})
        answer = self._http.getresponse()
        return answer.status, answer.read().decode()

    def chat(self, system: str, user: str, role: str = "agent", **fields: Any) -> Json:
        body = {"model": f"rehearsal-{role}", "messages": messages(system, user), **fields}
        status, text = self.send("POST", "/v1/chat/completions", body, role)
        assert status == 200, text
        return json.loads(text)

    def text(self, system: str, user: str, role: str = "agent", **fields: Any) -> str:
        return self.chat(system, user, role, **fields)["choices"][0]["message"]["content"]
