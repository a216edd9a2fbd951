"""Where a training run stands and when it stops."""

from __future__ import annotations

from typing import Any

import pytest

from cornerman.domain.training.candidates import Candidate, Prompt
from cornerman.domain.training.cases import (
    Case,
    CaseError,
    CaseResult,
    Score,
    mean_score,
    summary_by_evaluator,
)
from cornerman.domain.training.options import OptimizerOptions
from cornerman.domain.training.progress import (
    TooManyErroredError,
    TrainingProgress,
    count_statuses,
    require_few_errored,
)


def progress(**options: Any) -> TrainingProgress:
    return TrainingProgress(OptimizerOptions.model_validate(options))


def candidate(name: str) -> Candidate:
    return Candidate(id=name, prompts={"system": Prompt(text=name)})


def run_epochs(state: TrainingProgress, scores: list[float | None]) -> list[bool]:
    return [
        state.finish_epoch(epoch, candidate(f"c{epoch}"), score)
        for epoch, score in enumerate(scores, start=1)
    ]


def result(score: float | None, case_id: str = "1", **values: Any) -> CaseResult:
    status = "errored" if score is None else "scored"
    given: dict[str, Any] = {"status": status, "score": score} | values
    return CaseResult(Case(case_id, 0, {}), "c0", "train", 1, **given)


def test_the_incumbent_is_the_best_and_of_equal_ones_the_earliest():
    state = progress(epochs=5)
    assert run_epochs(state, [0.2, 0.5, 0.5, 0.4, None]) == [True, True, False, False, False]
    assert state.incumbent is not None
    assert (state.incumbent.id, state.best_score, state.since_best) == ("c2", 0.5, 3)
    assert state.improved_at == [1, 2]


def test_a_score_of_zero_is_a_first_best():
    state = progress()
    assert run_epochs(state, [0.0]) == [True]


@pytest.mark.parametrize(
    ("options", "scores", "stopped_by"),
    [
        ({"epochs": 2}, [0.1], None),
        ({"epochs": 2}, [0.1, 0.2], "epochs"),
        ({"epochs": 9, "target_score": 0.2}, [0.1, 0.2], "target_score"),
        ({"epochs": 2, "target_score": 0.2}, [0.1, 0.2], "target_score"),
        ({"epochs": 9, "patience": 2}, [0.1, 0.1], None),
        ({"epochs": 9, "patience": 2}, [0.1, 0.1, 0.1], "patience"),
        ({"epochs": 3, "patience": 2}, [0.1, 0.1, 0.1], "epochs"),
        ({"epochs": 9, "target_score": 0.5}, [None], None),
    ],
)
def test_stops_come_when_they_are_due(
    options: dict[str, Any], scores: list[float | None], stopped_by: str | None
):
    state = progress(**options)
    run_epochs(state, scores)
    assert state.stopped_by == stopped_by


def test_checkpoints_are_due_on_improvement_at_intervals_and_at_the_end():
    state, due = progress(epochs=7, checkpoint_interval=3), list[int]()
    for epoch, score in enumerate([0.1, 0.1, 0.1, 0.1, 0.2, 0.2, 0.2], start=1):
        improved = state.finish_epoch(epoch, candidate("c"), score)
        if state.wants_checkpoint(improved=improved):
            due.append(epoch)
    assert due == [1, 3, 5, 6, 7]


def test_a_mean_is_over_cases_and_leaves_errored_ones_out():
    results = [result(1.0), result(0.0, repeat=1), result(0.0, "2"), result(None, "3")]
    assert mean_score(results) == 0.25
    assert mean_score([result(None)]) is None
    assert mean_score([]) is None


def test_a_timed_out_case_counts_nothing_for_each_evaluator():
    scored = result(1.0, evaluations={"a": Score(1.0), "b": Score(0.5)})
    timed_out = result(0.0, "2", status="timed_out")
    assert summary_by_evaluator([scored, timed_out, result(None)], ["a", "b"]) == {
        "a": 0.5,
        "b": 0.25,
    }
    assert summary_by_evaluator([result(None)], ["a"]) == {}


def test_statuses_are_counted():
    counts = {"scored": 2, "timed_out": 0, "errored": 1}
    assert count_statuses([result(1.0), result(0.0), result(None)]) == counts


def errored(message: str) -> CaseResult:
    return result(None, error=CaseError("ValueError", message))


@pytest.mark.parametrize(("bad", "total"), [(1, 5), (3, 15), (7, 35), (0, 0), (200, 1000)])
def test_a_fifth_of_errored_cases_is_borne(bad: int, total: int):
    require_few_errored([errored("x")] * bad + [result(1.0)] * (total - bad))


def test_more_errored_cases_fail_the_run_with_the_commonest_error():
    results = [errored("rare"), errored("common"), errored("common"), *[result(1.0)] * 7]
    with pytest.raises(TooManyErroredError, match="3 of 10 cases errored") as caught:
        require_few_errored(results)
    assert "ValueError: common" in str(caught.value)
    assert "--resume" in caught.value.hint
