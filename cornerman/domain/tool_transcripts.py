"""Transcripts of tool-using agents, as chat messages, in the form that a referee reads.

The form is that of tau-bench (Yao et al. 2024): a system message with the agent's policy, then
messages of user, assistant and tools.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cornerman.domain.battles import Turn
from cornerman.domain.conversation import make_turn
from cornerman.domain.personas import Scenario

Message = Mapping[str, Any]

# Enough of a tool's result to see what it was about; a flight list has thousands of characters.
RESULT_CHARS = 400
POLICY_CHARS = 8_000


def turns_of(messages: Iterable[Message], result_chars: int = RESULT_CHARS) -> tuple[Turn, ...]:
    """The user's messages as the persona's turns, all else between them as the agent's.

    Tool calls and their results stand in the agent's turn, marked as such.

    Args:
        result_chars: Characters kept of a tool's result.
    """
    parts: list[tuple[str, list[str]]] = []
    for message in messages:
        speaker = "persona" if message.get("role") == "user" else "agent"
        lines = _lines(message, result_chars)
        if not lines:
            continue
        if parts and parts[-1][0] == speaker:
            parts[-1][1].extend(lines)
        else:
            parts.append((speaker, lines))
    return tuple(
        make_turn(index, "persona" if speaker == "persona" else "agent", "\n".join(lines))
        for index, (speaker, lines) in enumerate(parts)
    )


def _lines(message: Message, result_chars: int) -> list[str]:
    role, content = message.get("role"), message.get("content")
    if role == "system":
        return []
    text = str(content).strip() if content is not None else ""
    if role == "tool":
        shown = text if len(text) <= result_chars else f"{text[:result_chars]} …"
        return [f"[tool {message.get('name', '')} answered: {shown}]"]
    calls: Sequence[Message] = message.get("tool_calls") or ()
    return ([text] if text else []) + [_call(call) for call in calls]


def _call(call: Message) -> str:
    function: Message = call.get("function") or {}
    given = function.get("arguments", "")
    arguments = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    return f"[calls tool {function.get('name', '')} with {arguments}]"


def support_scenario(task_id: str, messages: Iterable[Message], instruction: str) -> Scenario:
    """The situation of such a transcript: the agent's policy, and what the user was told to do."""
    system = next((m for m in messages if m.get("role") == "system"), None)
    policy = "" if system is None else str(system.get("content", ""))[:POLICY_CHARS]
    return Scenario(
        id=task_id,
        description=f"A customer talks with support, which works by this policy:\n\n{policy}",
        agent_role="support",
        persona_role="the customer",
        agent_goal="Do exactly what the customer asks for as far as the policy allows, no more.",
        persona_goal=instruction or "Get what you came for.",
    )
