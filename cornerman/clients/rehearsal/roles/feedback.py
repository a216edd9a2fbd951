"""Reading what an optimizer is shown: the current prompt and the cases with their verdicts.

Two forms are read: Cornerman's (`<prompt>` and `<case>` blocks), and markdown with the prompt in
the first fence and `# Example n` sections, as gepa's reflection prompt has it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cornerman.clients.rehearsal.landscapes import text_of_input
from cornerman.clients.rehearsal.rules import Feedback

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
