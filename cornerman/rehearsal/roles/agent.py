"""The agent's role: a landscape's task, a negotiation, a support talk, or a plain answer."""

from __future__ import annotations

import re

from cornerman.rehearsal.battle import NEGOTIATOR, SUPPORTER, is_negotiation, negotiation, support
from cornerman.rehearsal.landscapes import find_landscape, text_of_input
from cornerman.rehearsal.request import ChatRequest
from cornerman.rehearsal.rules import NOISE, Attempt, read_rules
from cornerman.rehearsal.words import Chance

_LABELLING = re.compile(r"\b(?:label|classif|categor|intent)", re.IGNORECASE)


def reply(request: ChatRequest, server_seed: int) -> str:
    """The agent's answer."""
    chance = request.chance(server_seed)
    if NEGOTIATOR.search(request.system) and not _LABELLING.search(request.system):
        return negotiation.agent_reply(request, chance)
    in_talk = any(message.role == "assistant" for message in request.messages)
    supports = SUPPORTER.search(request.system) is not None
    if in_talk or (supports and not _LABELLING.search(request.system)):
        talk = support if supports or not is_negotiation(request) else negotiation
        return talk.agent_reply(request, chance)
    return _solve(request, server_seed, chance)


def _solve(request: ChatRequest, server_seed: int, chance: Chance) -> str:
    prompt, content = request.system, request.last_user
    if not (prompt and content):
        prompt, content = _split_prompt(prompt or content)
    text = text_of_input(content)
    landscape = find_landscape(prompt, text)
    if landscape is None:
        return f"(simulated) You wrote: {' '.join(text.split()[:12])}"
    attempt = Attempt(
        prompt=prompt,
        text=text,
        strengths=read_rules(landscape, prompt),
        luck=Chance(server_seed, landscape.name, text),
        astray=request.noisy and chance.happens(NOISE, "astray"),
    )
    return landscape.answer(attempt)


def _split_prompt(whole: str) -> tuple[str, str]:
    """Prompt and input of a message that holds both: the input is the last part."""
    for separator in ("\n\n", "\n"):
        head, found, tail = whole.strip().rpartition(separator)
        if found and tail.strip():
            return head, tail
    return "", whole
