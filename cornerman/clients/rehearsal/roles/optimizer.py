"""The optimizer's role: read the failures, infer which rule is missing, write it in.

It reflects as a language model would, from expected against output, and it errs as one does:
about one rewrite in four is a bad one.
"""

from __future__ import annotations

import re

from cornerman.clients.rehearsal.battle.manners import (
    NEGOTIATION_LESSONS,
    SUPPORT_LESSONS,
    lessons_in,
)
from cornerman.clients.rehearsal.battle.scene import NEGOTIATOR, SUPPORTER
from cornerman.clients.rehearsal.chance import Chance
from cornerman.clients.rehearsal.landscapes import INTENTS, find_landscape
from cornerman.clients.rehearsal.landscapes.intents import labels_in
from cornerman.clients.rehearsal.landscapes.triage_reading import LABELS as TRIAGE_LABELS
from cornerman.clients.rehearsal.request import ChatRequest
from cornerman.clients.rehearsal.roles.feedback import Brief, read_brief
from cornerman.clients.rehearsal.rules import Feedback, Landscape, Rule, read_rules

BAD_REWRITE_SHARE = 0.25
SECOND_RULE_SHARE = 0.30

_GENERIC = (
    "Check the answer against the form that is asked for before you reply.",
    "Read the whole input before you answer.",
    "If you are unsure, prefer the simplest reading of the input.",
)
_USELESS = (
    "Be helpful and professional at all times.",
    "You are a world-class expert who never makes a mistake.",
    "Think about the people who rely on this work.",
)
_WAFFLE = (
    "It matters a great deal that this task is done well, since many people rely on the outcome, "
    "and since every reader will notice at once whether care was taken or not. "
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_LABEL_LIST = "The labels are: "


def reply(request: ChatRequest, server_seed: int) -> str:
    """The rewritten prompt, between `<rewrite>` tags or in a fence, as the request's form asks."""
    brief = read_brief("\n\n".join(m.content for m in request.messages if m.role == "user"))
    text = rewrite(brief, request.chance(server_seed))
    return f"```\n{text}\n```" if brief.fenced else f"<rewrite>\n{text}\n</rewrite>"


def rewrite(brief: Brief, chance: Chance) -> str:
    """The new prompt's text."""
    if not brief.failed:
        return _polish(brief.prompt, chance)
    in_battle = NEGOTIATOR.search(brief.prompt) or SUPPORTER.search(brief.prompt)
    landscape = None if in_battle else _landscape_of(brief)
    rules = landscape.rules if landscape else ()
    if chance.happens(BAD_REWRITE_SHARE, "bad"):
        return _spoil(brief.prompt, rules, chance)
    additions = _missing_labels(brief) if landscape is INTENTS else []
    additions += _inferred(brief, landscape, chance) if landscape else []
    return _add(brief.prompt, additions or [_advice(brief.prompt, chance)])


def _advice(prompt: str, chance: Chance) -> str:
    """A lesson that a prompt for battles lacks, and something general for any other."""
    lessons: dict[str, str] = {}
    if NEGOTIATOR.search(prompt):
        lessons = NEGOTIATION_LESSONS
    elif SUPPORTER.search(prompt):
        lessons = SUPPORT_LESSONS
    held = lessons_in(prompt)
    missing = [sentence for name, sentence in lessons.items() if name not in held]
    return chance.pick(missing or list(_GENERIC), "advice")


def _landscape_of(brief: Brief) -> Landscape | None:
    """The task, by its expected answers first: labels that no list names yet are intents."""
    expected = {case.expected for case in brief.failed}
    label_like = all(re.fullmatch(r"[A-Za-z]+(?:_[A-Za-z]+)*\??", answer) for answer in expected)
    known = bool(expected & set(TRIAGE_LABELS))
    if label_like and any("_" in answer for answer in expected) and not known:
        return INTENTS
    found = (find_landscape(brief.prompt, text) for text in brief.texts)
    return next((landscape for landscape in found if landscape), None)


def _missing_labels(brief: Brief) -> list[str]:
    """A label list with the labels that the failures brought up, when the prompt lacks them."""
    listed = labels_in(brief.prompt)
    expected = dict.fromkeys(case.expected for case in brief.failed if case.expected)
    fresh = [label for label in expected if label not in listed and label not in brief.prompt]
    return [_LABEL_LIST + ", ".join(fresh) + "."] if fresh else []


def _inferred(brief: Brief, landscape: Landscape, chance: Chance) -> list[str]:
    """Sentences for one or two missing rules, likelier the more failures they explain."""
    held = read_rules(landscape, brief.prompt)
    counts = {rule: _explained(rule, brief.failed) for rule in landscape.rules}
    candidates = [rule for rule in landscape.rules if held[rule.name] < 1 and counts[rule]]
    chosen: list[Rule] = []
    wanted = 2 if chance.happens(SECOND_RULE_SHARE, "two rules") else 1
    while candidates and len(chosen) < wanted:
        weights = [counts[rule] for rule in candidates]
        rule = chance.weighted(candidates, weights, "rule", len(chosen))
        candidates.remove(rule)
        chosen.append(rule)
    return [chance.pick(rule.phrasings, "phrasing", rule.name) for rule in chosen]


def _explained(rule: Rule, failed: tuple[Feedback, ...]) -> int:
    return sum(rule.symptom(case) for case in failed)


def _add(prompt: str, sentences: list[str]) -> str:
    """The prompt with sentences added; a label list is extended where it stands."""
    for sentence in sentences:
        start = prompt.find(_LABEL_LIST)
        if sentence.startswith(_LABEL_LIST) and start >= 0:
            at = start + len(_LABEL_LIST)
            prompt = prompt[:at] + sentence[len(_LABEL_LIST) :].rstrip(".") + ", " + prompt[at:]
        elif sentence not in prompt:
            prompt = f"{prompt.rstrip()}\n{sentence}"
    return prompt


def _spoil(prompt: str, rules: tuple[Rule, ...], chance: Chance) -> str:
    """A bad rewrite: a rule dropped, denied, drowned in words, or nothing of use."""
    kind = chance.pick(("drop", "deny", "waffle", "useless"), "kind of bad")
    sentences = [part for part in _SENTENCE.split(prompt) if part]
    if kind == "drop" and len(sentences) > 1:
        dropped = 1 + int(chance.draw("dropped") * (len(sentences) - 1))
        kept = sentences[:dropped] + sentences[dropped + 1 :]
        return "\n".join([*kept, chance.pick(_USELESS, "useless")])
    denials = [text for rule in rules for text in rule.contradictions]
    if kind == "deny" and denials:
        return _add(prompt, [chance.pick(denials, "denial")])
    if kind == "waffle":
        return f"{prompt.rstrip()}\n{_WAFFLE * (10 + int(chance.draw('length') * 8))}".rstrip()
    return _add(prompt, [chance.pick(_USELESS, "useless")])


def _polish(prompt: str, chance: Chance) -> str:
    """Other words around the same content, as there is nothing to learn from."""
    opening = chance.pick(("Your task:", "Please note:", "Instructions:"), "opening")
    return prompt if prompt.startswith(opening) else f"{opening} {prompt.strip()}"
