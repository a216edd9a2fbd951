"""Which train cases a round shows to the optimizer's model and tries its rewrites on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cornerman.domain.training.candidates import Candidate
from cornerman.domain.training.cases import Case, scores_by_case
from cornerman.domain.training.optimizer import Lab

# A mean of floats that should be 1 may miss it by this.
_PERFECT = 1 - 1e-9


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
    order = lab.rng(f"batch/{epoch}").sample(list(lab.train), len(lab.train))
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
