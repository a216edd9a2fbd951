"""Which prompt each proposal of a round rewrites, from which cases, and why that one.

With one prompt there is nothing to choose. With several, traces say which was in use where a case
went wrong; without traces the prompts take turns.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cornerman.domain.blame import Step, Suspicion, shown_steps, suspicions
from cornerman.domain.training.candidates import Candidate
from cornerman.domain.training.cases import Case, CaseResult
from cornerman.domain.training.optimizer import Lab
from cornerman.optimizers.feedback import trainable


@dataclass(frozen=True)
class Lesson:
    """What one proposal learns from.

    Args:
        name: The prompt that it rewrites.
        why: Why that one, in words; empty where it was its turn.
        is_traced: Whether its cases fail where that prompt was in use.
        steps: What the agent did, by case id, as the optimizer's model reads it.
    """

    name: str
    cases: list[Case]
    why: str = ""
    is_traced: bool = False
    steps: Mapping[str, str] = field(default_factory=dict[str, str])


async def assign_lessons(
    lab: Lab, parent: Candidate, batches: Sequence[list[Case]], epoch: int
) -> list[Lesson]:
    """Give each proposal's minibatch a prompt; where traces tell, minibatches of one suspicion.

    Each failing case points to one prompt, drawn by how suspect each is, so that no reading of a
    trace is final. A proposal then learns from cases that point to the same one.
    """
    names = trainable(parent.prompts)
    union = list({case.id: case for batch in batches for case in batch}.values())
    results = {result.case.id: result for result in await lab.evaluate(parent, union)}
    steps = {case.id: await lab.steps(results[case.id]) for case in union}
    suspected = _suspected(names, union, results, steps)
    if len(names) < 2 or not suspected:
        turns = [names[(epoch + number) % len(names)] for number in range(len(batches))]
        return [
            Lesson(name, batch, steps={case.id: shown_steps(steps[case.id]) for case in batch})
            for name, batch in zip(turns, batches, strict=True)
        ]
    drawn = _drawn(suspected, lab.rng(f"blame/{epoch}"))
    size = max(len(batch) for batch in batches)
    return _dealt(drawn, steps, {case.id: case for case in union}, len(batches), size)


def _suspected(
    names: Sequence[str],
    cases: Sequence[Case],
    results: Mapping[str, CaseResult],
    steps: Mapping[str, Sequence[Step]],
) -> dict[str, list[Suspicion]]:
    """Suspicions by case id, of cases that failed and whose trace names a trainable prompt."""
    found = {
        case.id: suspicions(steps[case.id], names)
        for case in cases
        if (results[case.id].score or 0.0) < 1
    }
    return {case_id: held for case_id, held in found.items() if held}


def _drawn(
    suspected: Mapping[str, list[Suspicion]], rng: random.Random
) -> dict[str, dict[str, Suspicion]]:
    """One suspicion for each case, by prompt and then by case."""
    drawn = dict[str, dict[str, Suspicion]]()
    for case_id, held in suspected.items():
        (one,) = rng.choices(held, [suspicion.weight for suspicion in held])
        drawn.setdefault(one.prompt, {})[case_id] = one
    return drawn


def _dealt(
    drawn: Mapping[str, Mapping[str, Suspicion]],
    steps: Mapping[str, Sequence[Step]],
    cases: Mapping[str, Case],
    count: int,
    size: int,
) -> list[Lesson]:
    """So many lessons: prompts by how many cases point to them, each case shown in turn."""
    total = sum(map(len, drawn.values()))
    lessons, taken = list[Lesson](), Counter[str]()
    for _ in range(count):
        # Whose share of the proposals lags furthest behind its share of the cases.
        name = min(drawn, key=lambda one: ((taken[one] + 1) * total / len(drawn[one]), one))
        held = list(drawn[name])
        start = taken[name] * size
        chosen = [held[(start + place) % len(held)] for place in range(min(size, len(held)))]
        taken[name] += 1
        blamed = {case_id: drawn[name][case_id] for case_id in chosen}
        shown = {case_id: shown_steps(steps[case_id], blamed[case_id]) for case_id in chosen}
        lessons.append(Lesson(name, [cases[one] for one in chosen], _words(blamed), True, shown))
    return lessons


def _words(blamed: Mapping[str, Suspicion]) -> str:
    """The commonest reasons, with how many cases show each."""
    counted = Counter(one.why for one in blamed.values()).most_common(2)
    return "; ".join(f"{why} ({count} of {len(blamed)})" for why, count in counted)


async def mended(
    lab: Lab, lesson: Lesson, before: Sequence[CaseResult], after: Sequence[CaseResult]
) -> int:
    """How many of a lesson's cases fail no more where they did, though they may fail elsewhere.

    A case that needs two prompts mended scores nothing for the first; its trace shows it.

    Args:
        before: The parent's results on the lesson's cases.
        after: The rewrite's, in the same order.
    """
    if not lesson.is_traced:
        return 0
    count = 0
    for old, new in zip(before, after, strict=True):
        if await _speaks_against(lab, old, lesson.name):
            count += not await _speaks_against(lab, new, lesson.name)
    return count


async def _speaks_against(lab: Lab, result: CaseResult, name: str) -> bool:
    found = suspicions(await lab.steps(result), [name])
    return any(suspicion.is_shown for suspicion in found)
