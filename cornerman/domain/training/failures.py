"""Which cases of a run failed, as cases of a dataset: what went wrong is what to learn next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from cornerman.domain.battles import Battle
from cornerman.domain.training.cases import Case, CaseResult

# Battles are scored 0 to 100.
BATTLE_SCALE = 100


def case_document(case: Case, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """A case as a line of a dataset's file; its own metadata win."""
    return {
        "id": case.id,
        "inputs": case.inputs,
        "expected_output": case.expected_output,
        "metadata": {**metadata, **case.metadata},
    }


def failed_cases(
    results: Sequence[CaseResult], bar: float | None, run_id: str, known: Mapping[str, Case]
) -> tuple[list[dict[str, Any]], Counter[str]]:
    """The cases whose mean score over their repeats is under the bar, in the dataset's order.

    Args:
        results: Of one candidate.
        bar: In 0..1; None keeps all.
        known: The dataset's cases by id, for their metadata; what is not there has none.

    Returns:
        Cases as lines of a dataset's file, and how many were left out, by reason.
    """
    by_case = dict[str, list[CaseResult]]()
    for result in results:
        by_case.setdefault(result.case.id, []).append(result)
    found, left = list[dict[str, Any]](), Counter[str]()
    for case_id, held in by_case.items():
        scores = [result.score for result in held if result.score is not None]
        if not scores:
            left["errored, so they have no score"] += 1
            continue
        score = fmean(scores)
        if bar is not None and score >= bar:
            left[f"scored {bar:g} or more"] += 1
            continue
        case = known.get(case_id, held[0].case)
        found.append(
            case_document(
                case,
                {"from": run_id, "split": held[0].split, "score": score, "output": held[0].output},
            )
        )
    return found, left


def lost_battles(battles: Sequence[Battle], bar: float | None) -> tuple[list[Battle], Counter[str]]:
    """The rated battles whose score is under the bar, and how many were left out, by reason.

    Re-runs that only confirm a breakthrough are no battles of their own.

    Args:
        bar: In 0..100; None keeps all.
    """
    found, left = list[Battle](), Counter[str]()
    for battle in battles:
        if battle.confirms is not None:
            left["re-runs that confirm another battle"] += 1
        elif battle.spoiled:
            left["spoiled by a persona that fell out of its role"] += 1
        elif battle.score is None or battle.status != "scored":
            left[f"{battle.status}, so they have no score"] += 1
        elif bar is not None and battle.score >= bar:
            left[f"scored {bar:g} or more"] += 1
        else:
            found.append(battle)
    return found, left
