"""An evaluation's part of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from statistics import fmean
from typing import Any

from cornerman.domain.money import pico_to_usd
from cornerman.domain.runs import Run, case_subject
from cornerman.domain.statistics import mean_interval, scores_by_case
from cornerman.domain.training.cases import CaseResult
from cornerman.domain.training.evaluation import Column
from cornerman.domain.training.progress import count_statuses
from cornerman.report.evaluation import (
    CaseAnswer,
    EvaluatedCase,
    EvaluatedColumn,
    EvaluationSection,
)
from cornerman.report.model import CaseCounts
from cornerman.storage import cases, ledger, traces
from cornerman.tasks.report_training import (
    MOST_CALLS,
    estimate_of,
    improvement_of,
    iso,
    ledger_rows,
    reasons_of,
)

# Nobody reads more cases than these, and each has texts and traces for every column.
MOST_DIFFERING = 50


def evaluation_section(session: Any, run: Run, *, traced: bool = True) -> EvaluationSection:
    """Everything that the page and a JUnit file show of an evaluation.

    Args:
        traced: With the model calls of the cases that differ.
    """
    result, request = run.result or {}, run.request
    columns = [Column(**column) for column in request.get("columns") or ()]
    results = cases.read_case_results(session, run.id)
    found = _cases(results, [column.id for column in columns])
    differing = [case for case in found if case.differs]
    if len(columns) == 1:
        # Nothing to differ from but a full score.
        differing = [case for case in found if case.lowest < 1]
    differing.sort(key=lambda case: (-case.spread, case.lowest, case.index))
    calls = ledger.read_candidate_calls(session, run.id)
    return EvaluationSection(
        run_id=run.id,
        workflow_id=run.workflow_id,
        status=run.status,
        stopped_by=run.stopped_by or "",
        started_at=iso(run.started_at),
        finished_at=iso(run.finished_at),
        split=str(request.get("split") or "all"),
        min_score=request.get("min_score"),
        not_worse_than=str(request.get("not_worse_than") or ""),
        passed=result.get("passed"),
        failures=[str(text) for text in result.get("failures") or ()],
        notes=[str(note) for note in result.get("notes") or ()],
        columns=_columns(run, columns, results, calls),
        cases=found,
        cases_wanted=result.get("cases_wanted"),
        differing=[
            _traced(session, run.id, case) if traced else case
            for case in differing[:MOST_DIFFERING]
        ],
        differ=len(differing),
        cost_usd=pico_to_usd(ledger.read_run_cost_pico(session, run.id)),
        budget_usd=request.get("optimizer", {}).get("max_cost_usd"),
        model_calls=ledger.count_run_calls(session, run.id),
        ledger=ledger_rows(session, run.id),
    )


def _columns(
    run: Run,
    columns: Sequence[Column],
    results: Sequence[CaseResult],
    calls: Mapping[str, Mapping[Any, int]],
) -> list[EvaluatedColumn]:
    """From the run's result; of one that goes on, what is known by now."""
    lines = {line["id"]: line for line in (run.result or {}).get("columns") or ()}
    return [
        _column(run, columns, column, lines.get(column.id), results, calls) for column in columns
    ]


def _column(
    run: Run,
    columns: Sequence[Column],
    column: Column,
    line: Mapping[str, Any] | None,
    results: Sequence[CaseResult],
    calls: Mapping[str, Mapping[Any, int]],
) -> EvaluatedColumn:
    its = [result for result in results if result.candidate_id == column.id]
    score = line["score"] if line else _score(run, its)
    change, against = _change(run, columns, column)
    return EvaluatedColumn(
        id=column.id,
        name=column.name,
        model=column.model or "",
        checkpoint=column.checkpoint or "",
        config_version=None if line is None else line["config_version"],
        judged=column.judged,
        score=estimate_of(score),
        against=against,
        held_to=next((c.name for c in columns if c.id == column.against), ""),
        change=improvement_of(change),
        cost_usd=pico_to_usd(sum(calls.get(column.id, {}).values())),
        cases=CaseCounts(**count_statuses(its)),
        summary={} if line is None else line["summary"],
        below={} if line is None else line.get("below", {}),
    )


def _score(run: Run, results: Sequence[CaseResult]) -> dict[str, Any]:
    seed = int(run.request.get("optimizer", {}).get("seed") or 0)
    return mean_interval(list(scores_by_case(results).values()), seed).as_dict()


def _change(
    run: Run, columns: Sequence[Column], column: Column
) -> tuple[dict[str, Any] | None, str]:
    """The comparison that a reader wants first: with the bar, else with the first column."""
    first = columns[0]
    other = next((c for c in columns if c.id == column.against), first)
    if other.id == column.id or (column.against is None and not column.judged):
        return None, ""
    wanted = tuple({"model": c.model, "checkpoint": c.checkpoint} for c in (other, column))
    for one in (run.result or {}).get("comparisons") or ():
        if (one["before"], one["after"]) == wanted:
            return one, other.name
    return None, ""


def _cases(results: Sequence[CaseResult], order: Sequence[str]) -> list[EvaluatedCase]:
    ordered = sorted(results, key=lambda r: (r.case.index, order.index(r.candidate_id), r.repeat))
    return [_case(list(held)) for _, held in groupby(ordered, key=lambda r: r.case.id)]


def _case(held: list[CaseResult]) -> EvaluatedCase:
    case = held[0].case
    answers = [
        _answer(list(its)) for _, its in groupby(held, key=lambda result: result.candidate_id)
    ]
    return EvaluatedCase(
        case_id=case.id,
        index=case.index,
        split=held[0].split,
        inputs=case.inputs,
        expected=case.expected_output,
        answers=answers,
    )


def _answer(repeats: list[CaseResult]) -> CaseAnswer:
    scores = [result.score for result in repeats if result.score is not None]
    first = repeats[0]
    return CaseAnswer(
        column=first.candidate_id,
        status=first.status,
        score=fmean(scores) if scores else None,
        output=first.output,
        reason=reasons_of(first),
        error="" if first.error is None else f"{first.error.type}: {first.error.message}",
        duration_ms=sum(result.duration_ms for result in repeats),
    )


def _traced(session: Any, run_id: str, case: EvaluatedCase) -> EvaluatedCase:
    answers = [
        replace(answer, trace=_trace(session, run_id, answer.column, case.case_id))
        for answer in case.answers
    ]
    return replace(case, answers=answers)


def _trace(session: Any, run_id: str, column: str, case_id: str) -> list[dict[str, Any]]:
    return traces.read_trace(session, run_id, case_subject(column, case_id, 0))[:MOST_CALLS]
