"""What an optimizer's model is shown: the prompt and how it did on cases."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cornerman.domain.training.candidates import Candidate, Prompts
from cornerman.domain.training.cases import CaseResult

_INSTRUCTION = """You improve one prompt of an LLM agent. You are shown the prompt and how the \
agent did with it on some cases: inputs, expected output, output, score and reason. Find what the \
failures have in common and what the prompt should have said, as general rules that also hold for \
cases you have not seen. Keep the lines that work as they are, put each new rule on a line of its \
own, keep every {placeholder}, never copy a case into the prompt, and stay brief. Rewrites listed \
as tried did not help: think of another cause. Answer with the whole new prompt between <rewrite> \
and </rewrite>, and nothing else."""

_MOST_CHARS = 2_000
_MOST_TRIED = 4
_MOST_TRIED_CHARS = 300
_REWRITE = re.compile(r"<rewrite>\s*(.*?)\s*(?:</rewrite>|\Z)", re.DOTALL)


@dataclass(frozen=True)
class Tried:
    """An earlier rewrite of a prompt that was turned down, and why."""

    text: str
    reason: str


def shown_value(value: object) -> str:
    """A value as a model reads it, cut when very long."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return _cut(text, _MOST_CHARS)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + " …(cut)"


def why(result: CaseResult) -> str:
    """What the evaluators said, or what went wrong; `-` when nothing."""
    reasons = [f"{name}: {s.reason}" for name, s in result.evaluations.items() if s.reason]
    if result.error is not None:
        reasons.append(result.error.message)
    return "; ".join(reasons) or "-"


def _case_block(result: CaseResult) -> str:
    lines = [
        f'<case id="{result.case.id}">',
        f"inputs: {shown_value(result.case.inputs)}",
        f"expected: {shown_value(result.case.expected_output)}",
        f"output: {shown_value(result.output)}",
        f"score: {result.score if result.score is not None else 'none'}",
        f"reason: {why(result)}",
        "</case>",
    ]
    return "\n".join(lines)


def _tried_block(old_text: str, tried: Tried) -> str:
    """What the rewrite added; the rest of it is in the prompt already."""
    old = set(old_text.splitlines())
    added = "\n".join(line for line in tried.text.splitlines() if line not in old)
    said = _cut(added or "(lines dropped)", _MOST_TRIED_CHARS)
    return f"<tried>\n{said}\n({tried.reason})\n</tried>"


def rewrite_messages(
    candidate: Candidate,
    prompt_name: str,
    results: Sequence[CaseResult],
    tried: Sequence[Tried] = (),
) -> list[dict[str, str]]:
    """Messages that ask for one better prompt.

    Args:
        results: What to learn from; the order is kept.
        tried: Earlier rewrites of this prompt that did not help; the last few are shown.
    """
    text = candidate.prompts[prompt_name].text
    parts = [
        f'<prompt name="{prompt_name}">\n{text}\n</prompt>',
        *map(_case_block, results),
        *(_tried_block(text, earlier) for earlier in tried[-_MOST_TRIED:]),
    ]
    return [
        {"role": "system", "content": _INSTRUCTION},
        {"role": "user", "content": "\n\n".join(parts)},
    ]


def parse_rewrite(answer: str) -> str:
    """The new prompt in an answer; the whole answer when it has no marks."""
    found = _REWRITE.search(answer)
    return (found[1] if found else answer).strip()


def with_text(prompts: Prompts, name: str, text: str) -> Prompts:
    """The same prompts but for one text."""
    return prompts | {name: prompts[name].model_copy(update={"text": text})}


def trainable(prompts: Prompts) -> list[str]:
    """Names of the prompts that may be rewritten, in order."""
    return [name for name, prompt in prompts.items() if prompt.requires_grad]
