"""What an optimizer's model is shown: the prompt and how it did on cases."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from cornerman.domain.candidates import Candidate, Prompts
from cornerman.domain.cases import CaseResult

_INSTRUCTION = """You improve one prompt of an LLM agent. You are shown the prompt and how the \
agent did with it on some cases: inputs, expected output, output, score and reason. Find what the \
failures have in common and what the prompt should have said, as general rules that also hold for \
cases you have not seen. Keep what works, keep every {placeholder}, never copy a case into the \
prompt, and stay brief. Answer with the whole new prompt between <rewrite> and </rewrite>, and \
nothing else."""

_MOST_CHARS = 2_000
_REWRITE = re.compile(r"<rewrite>\s*(.*?)\s*(?:</rewrite>|\Z)", re.DOTALL)


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MOST_CHARS else text[:_MOST_CHARS] + " …(cut)"


def _case_block(result: CaseResult) -> str:
    reasons = [f"{name}: {s.reason}" for name, s in result.evaluations.items() if s.reason]
    if result.error is not None:
        reasons.append(result.error.message)
    lines = [
        f'<case id="{result.case.id}">',
        f"inputs: {_shown(result.case.inputs)}",
        f"expected: {_shown(result.case.expected_output)}",
        f"output: {_shown(result.output)}",
        f"score: {result.score if result.score is not None else 'none'}",
        f"reason: {'; '.join(reasons) or '-'}",
        "</case>",
    ]
    return "\n".join(lines)


def rewrite_messages(
    candidate: Candidate, prompt_name: str, results: Sequence[CaseResult]
) -> list[dict[str, str]]:
    """Messages that ask for one better prompt.

    Args:
        results: What to learn from; the order is kept.
    """
    text = candidate.prompts[prompt_name].text
    parts = [f'<prompt name="{prompt_name}">\n{text}\n</prompt>', *map(_case_block, results)]
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
