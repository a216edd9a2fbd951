"""Which candidate to rewrite next: GEPA's draw from the Pareto front of per-case scores.

Source: Agrawal et al. 2025, "GEPA: Reflective Prompt Evolution", algorithm 2. A candidate that
leads on a few cases keeps its chance, so a lesson that only it learned is not lost.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

# Scores that differ by less are equal: they come from means of floats.
_EQUAL = 1e-9


def pareto_weights(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return the chance of each candidate on the front, in proportion to the cases it leads.

    A candidate is off the front when, on every case that it leads, another one of the front leads
    with it.

    Args:
        scores: Case scores by candidate id; a case that a candidate lacks counts for the others.

    Returns:
        Number of cases led by candidate id, front only. When no case has a score, every
        candidate has 1.
    """
    leaders = _leaders(scores)
    if not leaders:
        return dict.fromkeys(scores, 1.0)
    front = _undominated(leaders, scores)
    led = {name: 0.0 for name in scores if name in front}
    for names in leaders.values():
        for name in names & front:
            led[name] += 1.0
    return led


def _leaders(scores: Mapping[str, Mapping[str, float]]) -> dict[str, set[str]]:
    best: dict[str, float] = {}
    for by_case in scores.values():
        for case_id, score in by_case.items():
            best[case_id] = max(score, best.get(case_id, score))
    return {
        case_id: {
            name
            for name, by_case in scores.items()
            if case_id in by_case and by_case[case_id] >= top - _EQUAL
        }
        for case_id, top in best.items()
    }


def _undominated(
    leaders: Mapping[str, set[str]], scores: Mapping[str, Mapping[str, float]]
) -> set[str]:
    front = {name for names in leaders.values() for name in names}

    def mean(name: str) -> float:
        by_case = scores[name]
        return sum(by_case.values()) / len(by_case)

    # Weakest first, so that of two that cover each other the stronger stays; then by name, so
    # that the same scores always give the same front.
    for name in sorted(front, key=lambda name: (mean(name), name)):
        others = front - {name}
        if all(names & others for names in leaders.values() if name in names):
            front = others
    return front


def draw_parent(weights: Mapping[str, float], rng: random.Random) -> str:
    """Draw a candidate id by weight. The order of the mapping does not matter."""
    names = sorted(weights)
    return rng.choices(names, [weights[name] for name in names])[0]
