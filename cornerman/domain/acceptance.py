"""Whether a rewrite did well enough on a few cases to be worth a full validation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

AcceptanceMode = Literal["paired", "strict"]
# How many standard errors a gain must exceed. design/acceptance.md has the figures: more turns
# good rewrites away on minibatches of 3 to 8 cases, less lets noise through.
SUPPORT = 0.5
_EQUAL = 1e-9

Scores = Mapping[str, float | Sequence[float]]


@dataclass(frozen=True)
class Acceptance:
    """A decision about a rewrite, with its reason in words.

    Args:
        gain: Mean score of the child minus the parent's over the cases that both have; 0 without.
        standard_error: Of that gain.
    """

    accepted: bool
    reason: str
    gain: float
    standard_error: float = 0.0


def accept_child(
    parent_scores: Scores, child_scores: Scores, *, mode: AcceptanceMode = "paired"
) -> Acceptance:
    """Decide on a rewrite by its scores and its parent's on the same cases.

    `paired`: the mean gain must be over 0 and over half its standard error. The error is that of
    the case-by-case differences; when cases were repeated, it is at least what the repeats'
    spread says. `strict`: any gain will do, as in GEPA.

    Args:
        parent_scores: Score in 0..1 by case id, or several for repeats. Errored cases are absent.
        child_scores: The same of the rewrite.
    """
    shared = [case_id for case_id in parent_scores if case_id in child_scores]
    if not shared:
        return Acceptance(False, "no case was scored for both", 0.0)
    pairs = [(_all(parent_scores[name]), _all(child_scores[name])) for name in shared]
    changes = np.array([np.mean(child) - np.mean(parent) for parent, child in pairs])
    gain = float(changes.mean())
    error = max(float(changes.std()) / math.sqrt(len(pairs)), _repeat_error(pairs))
    said = f"gain {gain:+.3f} on {len(pairs)} cases (standard error {error:.3f})"
    if gain <= _EQUAL:
        return Acceptance(False, f"no gain: {said}", gain, error)
    if mode == "paired" and gain <= SUPPORT * error + _EQUAL:
        return Acceptance(False, f"within noise: {said}", gain, error)
    return Acceptance(True, said, gain, error)


def _all(scores: float | Sequence[float]) -> list[float]:
    return [float(scores)] if isinstance(scores, (int, float)) else [float(one) for one in scores]


def _repeat_error(pairs: Sequence[tuple[list[float], list[float]]]) -> float:
    """Return the mean gain's standard error that repeats of single cases show; 0 without any."""
    squared = 0.0
    for pair in pairs:
        for scores in pair:
            if len(scores) > 1:
                squared += float(np.var(scores, ddof=1)) / len(scores)
    return math.sqrt(squared) / len(pairs)
