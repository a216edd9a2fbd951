"""The agent's role: a landscape's task, a negotiation, a support talk, or a plain answer."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping

from cornerman.rehearsal.battle import NEGOTIATOR, SUPPORTER, is_negotiation, negotiation, support
from cornerman.rehearsal.landscapes import find_landscape, text_of_input
from cornerman.rehearsal.request import ChatRequest
from cornerman.rehearsal.rules import NOISE, Attempt, Feedback, Landscape, read_rules
from cornerman.rehearsal.words import Chance

# What one demonstration is worth next to a rule that is stated.
_SHOWN = 0.5
_LABELLING = re.compile(r"\b(?:label|classif|categor|intent)", re.IGNORECASE)


def reply(request: ChatRequest, server_seed: int) -> str:
    """The agent's answer."""
    chance = request.chance(server_seed)
    if NEGOTIATOR.search(request.system) and not _LABELLING.search(request.system):
        return negotiation.agent_reply(request, chance)
    supports = SUPPORTER.search(request.system) is not None
    in_talk = any(message.role == "assistant" for message in request.messages)
    # Demonstrations look like a talk, of a task that is none.
    in_talk = in_talk and (supports or not _is_task(request))
    if in_talk or (supports and not _LABELLING.search(request.system)):
        talk = support if supports or not is_negotiation(request) else negotiation
        return talk.agent_reply(request, chance)
    return _solve(request, server_seed, chance)


def _is_task(request: ChatRequest) -> bool:
    return find_landscape(request.system, text_of_input(request.last_user)) is not None


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
        strengths=_taught(landscape, request, server_seed, read_rules(landscape, prompt)),
        luck=Chance(server_seed, landscape.name, text),
        astray=request.noisy and chance.happens(NOISE, "astray"),
    )
    return landscape.answer(attempt)


def _taught(
    landscape: Landscape, request: ChatRequest, server_seed: int, said: Mapping[str, float]
) -> dict[str, float]:
    """Rules by what the prompt says, and by what demonstrations show.

    One that the prompt alone would have got wrong teaches the rules whose lack it looks like, each
    half of the way.
    """
    strengths = dict(said)
    for asked, answer in _demonstrations(request):
        text = text_of_input(asked)
        luck = Chance(server_seed, landscape.name, text)
        attempt = Attempt(prompt=request.system, text=text, strengths=said, luck=luck)
        output = landscape.answer(attempt)
        if output == answer:
            continue
        lacked = Feedback(text, answer, output)
        for rule in landscape.rules:
            if said[rule.name] <= 0 and rule.symptom(lacked):
                strengths[rule.name] = min(1.0, strengths[rule.name] + _SHOWN)
    return strengths


def _demonstrations(request: ChatRequest) -> list[tuple[str, str]]:
    """User's messages with the assistant's answers to them."""
    talk = [message for message in request.messages if message.role in ("user", "assistant")]
    return [
        (asked.content, said.content)
        for asked, said in itertools.pairwise(talk)
        if (asked.role, said.role) == ("user", "assistant")
    ]


def _split_prompt(whole: str) -> tuple[str, str]:
    """Prompt and input of a message that holds both: the input is the last part."""
    for separator in ("\n\n", "\n"):
        head, found, tail = whole.strip().rpartition(separator)
        if found and tail.strip():
            return head, tail
    return "", whole
