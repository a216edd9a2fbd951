"""Reading what an optimizer is shown: the current prompt and the cases with their verdicts.

Two forms are read: Cornerman's (`<prompt>` and `<case>` blocks), and markdown with the prompt in
the first fence and `# Example n` sections, as gepa's reflection prompt has it.

The optimizer's role: read the failures, infer which rule is missing, write it in.

It reflects as a language model would, from expected against output, and it errs as one does:
about one rewrite in four is a bad one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cornerman.rehearsal.battle import NEGOTIATOR, SUPPORTER
from cornerman.rehearsal.battle.manners import NEGOTIATION_LESSONS, SUPPORT_LESSONS, lessons_in
from cornerman.rehearsal.landscapes import INTENTS, find_landscape, text_of_input
from cornerman.rehearsal.landscapes.general import labels_in
from cornerman.rehearsal.landscapes.triage import LABELS as TRIAGE_LABELS
from cornerman.rehearsal.request import ChatRequest
from cornerman.rehearsal.rules import Feedback, Landscape, Rule, read_rules
from cornerman.rehearsal.words import Chance

# Blocks are cut out by plain search: a lazy pattern is quadratic in tags that are never closed.
_PROMPT_TAG = re.compile(r"<prompt\b[^>]{0,200}>")
_CASE_TAG = re.compile(r"<case\b[^>]{0,200}>")
_TEXT_LIMIT = 400_000
_LINE = re.compile(r"^\s*(inputs?|expected|output|score|reason)\s*:[ \t]?(.*)$", re.IGNORECASE)
_EXAMPLE = re.compile(r"^# Example \d+\s*$", re.MULTILINE)
_SECTION = re.compile(r"^##+ +(.+)$", re.MULTILINE)
_EXPECTED_IN_PROSE = re.compile(
    r"(?:expected(?: output| answer| label)?|correct (?:answer|label|output)"
    r"|should (?:be|have been))"
    r"(?: is| was)?\s*:?\s*[`'\"]?([^`'\"\n]+?)[`'\"]?(?:[.,;]?\s*(?:$|\n| but\b| got\b))",
    re.IGNORECASE,
)
_SCORE = re.compile(r"\bscore\D{0,12}(\d(?:\.\d+)?)", re.IGNORECASE)


@dataclass(frozen=True)
class Brief:
    """What the optimizer has to work with.

    Args:
        failed: The cases that scored under 1, or whose answer differs when no score is told.
        texts: The inputs of all cases, failed or not.
        fenced: Whether the answer belongs in a fence rather than in `<rewrite>`.
    """

    prompt: str
    failed: tuple[Feedback, ...]
    texts: tuple[str, ...]
    fenced: bool


def read_brief(text: str) -> Brief:
    """Read an optimizer's user message in either form."""
    text = text[:_TEXT_LIMIT]
    tag = _PROMPT_TAG.search(text)
    end = text.find("</prompt>", tag.end()) if tag else -1
    if tag and end >= 0:
        cases = [_tagged_fields(block) for block in _case_blocks(text[end:])]
        return _brief(text[tag.end() : end].strip(), cases, fenced=False)
    parts = text.split("```")
    prompt = parts[1].strip() if len(parts) > 2 else text.strip()
    rest = "```".join(parts[2:]) if len(parts) > 2 else ""
    blocks = _EXAMPLE.split(rest)[1:]
    return _brief(prompt, [_section_fields(block) for block in blocks], fenced=len(parts) > 2)


def _brief(prompt: str, cases: list[dict[str, str]], fenced: bool) -> Brief:
    feedback = [(_feedback(fields), _failed(fields)) for fields in cases]
    return Brief(
        prompt=prompt,
        failed=tuple(case for case, failed in feedback if failed),
        texts=tuple(case.text for case, _ in feedback),
        fenced=fenced,
    )


def _case_blocks(text: str) -> list[str]:
    pieces = text.split("</case>")[:-1]
    return [_CASE_TAG.split(piece)[-1] for piece in pieces if _CASE_TAG.search(piece)]


def _tagged_fields(block: str) -> dict[str, str]:
    """Fields of a `<case>` block; a line without a known name continues the one above."""
    fields: dict[str, str] = {}
    name = ""
    for line in block.strip("\n").split("\n"):
        match = _LINE.match(line)
        if match:
            name = match[1].lower().rstrip("s") if match[1].lower() != "reason" else "reason"
            fields[name] = match[2]
        elif name:
            fields[name] += f"\n{line}"
    return fields


def _section_fields(block: str) -> dict[str, str]:
    """Fields of a markdown example, by what its headings call them."""
    pieces = _SECTION.split(block.split("```")[0])
    fields: dict[str, str] = {}
    current = ""
    for title, body in zip(pieces[1::2], pieces[2::2], strict=True):
        # A deeper heading names a part of the section above, such as one of several inputs.
        current = _field_name(title.strip()[:80]) or current
        if current:
            fields[current] = f"{fields.get(current, '')}\n{body}".strip()
    return fields


def _field_name(title: str) -> str | None:
    lowered = title.lower()
    for sign, name in (("feedback", "reason"), ("reason", "reason"), ("expected", "expected"),
                       ("correct", "expected"), ("target", "expected"), ("score", "score"),
                       ("output", "output"), ("response", "output"), ("input", "input"),
                       ("question", "input")):  # fmt: skip
        if sign in lowered:
            return name
    return None


def _feedback(fields: dict[str, str]) -> Feedback:
    expected = fields.get("expected")
    if expected is None:
        found = _EXPECTED_IN_PROSE.search(fields.get("reason", "")[:2_000])
        expected = found[1] if found else ""
    return Feedback(
        text=text_of_input(fields.get("input", "")),
        expected=_plain(expected),
        output=_plain(fields.get("output", "")),
    )


def _plain(value: str) -> str:
    """Without the quotes that a JSON string has."""
    stripped = value.strip()
    quoted = len(stripped) > 1 and stripped[0] == stripped[-1] == '"'
    return stripped[1:-1] if quoted else stripped


def _failed(fields: dict[str, str]) -> bool:
    stated = fields.get("score", "").strip() or None
    if stated is None:
        found = _SCORE.search(fields.get("reason", "")[:2_000])
        stated = found[1] if found else None
    try:
        return float(stated or "") < 0.999
    except ValueError:
        case = _feedback(fields)
        return case.expected != case.output


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
