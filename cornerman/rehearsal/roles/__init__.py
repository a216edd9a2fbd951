"""What each role answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from cornerman.rehearsal.request import ChatRequest
from cornerman.rehearsal.roles import agent, generator, optimizer, referee
from cornerman.rehearsal.schema import build_instance

_TEXT_ROLES: dict[str, Callable[[ChatRequest, int], str]] = {
    "agent": agent.reply,
    "persona": generator.reply,
    "optimizer": optimizer.reply,
}
_JSON_ROLES: dict[str, Callable[[ChatRequest, int], dict[str, Any]]] = {
    "referee": referee.verdict,
    "scout": referee.tactic,
    "judge": referee.judgement,
    "generator": generator.personas,
}


def reply_to(request: ChatRequest, server_seed: int) -> str:
    """The reply's text: a pure function of the request's content and the server's seed."""
    if request.role in _JSON_ROLES:
        value = _JSON_ROLES[request.role](request, server_seed)
    else:
        text = _TEXT_ROLES[request.role](request, server_seed)
        if request.response_format is None:
            return text
        # A structured answer is wanted from a role that writes prose: the prose goes inside.
        value = {"answer": text, "output": text, "text": text, "label": text}
        value = value if request.schema else {"answer": text}
    made = build_instance(request.schema, value) if request.schema else value
    return json.dumps(made, ensure_ascii=False)
