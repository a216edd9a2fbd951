"""Which train cases a round shows to the optimizer's model and tries its rewrites on.

What an optimizer's model is shown: the prompt and how it did on cases.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cornerman.domain.training.candidates import Candidate, Prompts, inputs_key
from cornerman.domain.training.cases import Case, CaseResult, scores_by_case
from cornerman.domain.training.optimizer import Lab

# A mean of floats that should be 1 may miss it by this.
_PERFECT = 1 - 1e-9


def unshown(candidate: Candidate, cases: Sequence[Case]) -> list[Case]:
    """The cases without those that the candidate demonstrates: they say nothing of it."""
    shown = {demo.key for prompt in candidate.prompts.values() for demo in prompt.demos}
    return [case for case in cases if inputs_key(case.inputs) not in shown] if shown else [*cases]


async def draw_lessons(
    lab: Lab, parent: Candidate, epoch: int, times_shown: Mapping[str, int]
) -> list[list[Case]]:
    """One minibatch for each proposal, of cases that the parent fails, as different as can be.

    What is known already is free: the starting prompts have run on every train case, and a case
    that a parent's ancestor failed is where the parent most likely fails.

    Args:
        times_shown: How often a case was shown before; those shown less come first, so that
            cases which nothing mends do not use up the rounds.

    Returns:
        Minibatches of `minibatch_size` cases; failing ones first, and passing ones only where
        failing ones are too few. Empty when no failing case could be found.
    """
    known = unshown(parent, lab.train)
    order = lab.rng(f"batch/{epoch}").sample(known, len(known))
    order.sort(key=lambda case: times_shown.get(case.id, 0))
    size = min(lab.options.minibatch_size, len(order))
    scores = await _find_failing(lab, parent, order, size * lab.options.proposals)
    failing = [case for case in order if scores.get(case.id, 1.0) < _PERFECT]
    passing = [case for case in order if scores.get(case.id, 0.0) >= _PERFECT]
    if not failing:
        return []
    return [
        _dealt(failing, number, size) + _dealt(passing, number, size - min(size, len(failing)))
        for number in range(lab.options.proposals)
    ]


def _dealt(cases: Sequence[Case], number: int, size: int) -> list[Case]:
    """The hand of one proposal: cases are dealt in turn, and again from the first when all are."""
    taken = range(min(size, len(cases)))
    return [cases[(number * size + place) % len(cases)] for place in taken]


async def _find_failing(
    lab: Lab, parent: Candidate, order: Sequence[Case], wanted: int
) -> dict[str, float]:
    """The parent's train scores, after running it where it is likely to fail.

    Cases that nothing is known of are run only when there is no failing one yet.
    """
    scores = await known_scores(lab, parent, order)
    inherited = _inherited_scores(lab, parent)
    unknown = [case for case in order if case.id not in scores]
    likely = [case for case in unknown if inherited.get(case.id, 0.0) < _PERFECT]
    for guesses in (likely, unknown):
        failing = sum(score < _PERFECT for score in scores.values())
        if failing < (wanted if guesses is likely else 1):
            await lab.evaluate(parent, guesses[: wanted - failing])
            scores = await known_scores(lab, parent, order)
    return scores


async def known_scores(lab: Lab, candidate: Candidate, cases: Sequence[Case]) -> dict[str, float]:
    """Scores by case id, repeats averaged, of those cases that the candidate was run on."""
    known = lab.results(candidate.id)
    # Asking the lab again for what it knows is free, and brings the repeats along.
    return scores_by_case(await lab.evaluate(candidate, [c for c in cases if c.id in known]))


def _inherited_scores(lab: Lab, candidate: Candidate) -> dict[str, float]:
    """Each train case's score under the nearest ancestor that was run on it."""
    by_id = {member.id: member for member in lab.pool}
    found: dict[str, float] = {}
    ancestor = by_id.get(candidate.parent_id or "")
    while ancestor is not None:
        known = lab.results(ancestor.id)
        for case in lab.train:
            result = known.get(case.id)
            if result is not None and result.score is not None:
                found.setdefault(case.id, result.score)
        ancestor = by_id.get(ancestor.parent_id or "")
    return found


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


def _case_block(result: CaseResult, steps: str) -> str:
    lines = [
        f'<case id="{result.case.id}">',
        f"inputs: {shown_value(result.case.inputs)}",
        f"expected: {shown_value(result.case.expected_output)}",
        f"output: {shown_value(result.output)}",
        f"score: {result.score if result.score is not None else 'none'}",
        f"reason: {why(result)}",
        *([f"what the agent did:\n{steps}"] if steps else []),
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
    steps: Mapping[str, str] | None = None,
) -> list[dict[str, str]]:
    """Messages that ask for one better prompt.

    Args:
        steps: What the agent did, by case id, where more than one answer is to be seen.
        results: What to learn from; the order is kept.
        tried: Earlier rewrites of this prompt that did not help; the last few are shown.
    """
    text = candidate.prompts[prompt_name].text
    parts = [
        f'<prompt name="{prompt_name}">\n{text}\n</prompt>',
        *(_case_block(result, (steps or {}).get(result.case.id, "")) for result in results),
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
