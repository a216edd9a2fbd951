"""A model as many are today: it thinks, refuses parameters by name, and judges like people."""

from __future__ import annotations

import json
from typing import Any

from tests.support.llm_standin import Reply, Script

THOUGHTS = 1_500
_REFUSED = {
    "response_format": "'response_format.type' must be 'text'",
    "temperature": "Unsupported parameter: 'temperature' is not supported with this model.",
    "seed": "Unrecognized request argument supplied: seed",
    "max_tokens": "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
    "'max_completion_tokens' instead.",
}


class DifficultModel:
    """A script for `LLMStandin`: what `inner` would say, said as such a model says it.

    `refused` and `cut` count what a caller had to find out; `filtered` names texts that its filter
    withholds when they are asked about.
    """

    def __init__(self, inner: Script, *, filtered: tuple[str, ...] = ()) -> None:
        self.inner = inner
        self.filtered = filtered
        self.refused = 0
        self.cut = 0

    def __call__(self, request: dict[str, Any], n: int) -> Reply:
        for name, message in _REFUSED.items():
            if request.get(name) is not None:
                self.refused += 1
                return Reply(status=400, text=message)
        limit = int(request.get("max_completion_tokens") or 10**6)
        if limit <= THOUGHTS:
            self.cut += 1
            return Reply(text="", finish_reason="length", usage=(50, limit))
        asked = json.dumps(request["messages"])
        if any(text in asked for text in self.filtered):
            return Reply(text="", finish_reason="content_filter", usage=(50, THOUGHTS))
        reply = self.inner(request, n)
        reply.text = f"<think>Is it {{so}}? 3/10? Let me see.</think>\n{_said(reply.text)}"
        reply.usage = (50, THOUGHTS + 20)
        return reply


def _said(text: str) -> str:
    """A verdict as people write it down; anything else as it is."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    if not isinstance(value, dict) or "score" not in value:
        return text
    if set(value) <= {"score", "reason"}:
        return f"I looked at it closely.\n\n**Score: {round(10 * value['score'])}/10**"
    spoken = {**value, "agreed_price": "$150", "persona_fidelity": 90, "score": str(value["score"])}
    return f"Here is my verdict:\n\n```json\n{json.dumps(spoken)[:-1]},\n}}\n```\nI hope it helps!"
