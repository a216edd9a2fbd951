"""`evaluate-workflow`: prompts, models and checkpoints on the same cases, scored and not rewritten.

Each set of prompts under each model is a column, and a candidate of the run. A case is run for
all columns before the next one is, so that a run that is stopped has compared them on what it has.

How it ends: each column's score, the paired interval of each two, and whether the bar is met.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import combinations
from typing import Any

from cornerman.domain.errors import StopError
from cornerman.domain.money import pico_to_usd
from cornerman.domain.runs import RunStatus
from cornerman.domain.secrets import redact_json
from cornerman.domain.statistics import (
    Interval,
    mean_interval,
    paired_improvement,
    scores_by_case,
    summary_by_evaluator,
    too_few_words,
)
from cornerman.domain.training.cases import CaseResult
from cornerman.domain.training.evaluation import (
    Column,
    Comparison,
    EvaluateParameters,
    Shortfall,
    shortfalls,
)
from cornerman.domain.training.progress import count_statuses, require_few_errored
from cornerman.flows.agent_notes import agent_notes, model_notes
from cornerman.flows.case_run import (
    STATUS,
    RequestFlow,
    error_facts,
    finish,
    result_line,
    work_on,
)
from cornerman.flows.engine import open_engine, own_id
from cornerman.flows.evaluate_prepare import EvaluationRun, prepare_evaluation
from cornerman.flows.plumbing.reported import reported, run_name
from cornerman.storage import cases, checkpoints, ledger, runs
from cornerman.tasks.case_progress import CaseJob


async def _evaluate(parameters: EvaluateParameters) -> dict[str, Any]:
    """Score columns on the same cases.

    Returns:
        The run's result, of which `cornerman evaluate --json` prints a part.

    Raises:
        BadInputError: The request cannot be run; nothing was spent.
        ConflictError: A living process works on this run.
        CornermanError: The run failed; what it has is kept.
    """
    async with open_engine() as engine:
        run_id = parameters.run_id or f"evaluate-{own_id()}"
        run = await prepare_evaluation(engine, parameters, run_id)
        return await work_on(engine.db, run, _score, end_evaluation)


async def _score(run: EvaluationRun) -> None:
    """Run every case for every column."""
    await run.open_lab()
    for candidate in run.candidates.values():
        await run.context.db.write(cases.create_candidate, run.context.run_id, candidate)
    repeats = run.context.spec.optimizer.repeats
    await run.lab.run_jobs(
        [
            CaseJob(run.candidates[column.id], case, split, 1, repeat)
            for case, split in run.cases
            for repeat in range(repeats)
            for column in run.columns
        ]
    )
    for column in run.columns:
        # One that fails for a model that is not there must not hide among those that are.
        require_few_errored(run.lab.all_results(column.id), command="evaluate")


async def end_evaluation(
    run: EvaluationRun, *, stop: StopError | None = None, error: Exception | None = None
) -> dict[str, Any]:
    """Store the result and the run's end; return the result. It keeps what it has."""
    stopped_by = "error" if error is not None else None if stop is None else stop.stopped_by
    status: RunStatus = "completed"
    if stopped_by is not None:
        # Cases that were left out, be it for the time, leave a bar unjudged.
        status = "failed" if error is not None else STATUS.get(stopped_by, "stopped")
    held = await run.context.db.write(_settle_totals, run)
    # In a thread: of many columns it takes seconds, and the run must show that it lives.
    figures = await asyncio.to_thread(_figures, run, held)
    result = redact_json(_result(run, held, figures, status, stopped_by))
    facts = None if error is None else error_facts(error)
    if facts is not None:
        result["error"] = {"type": facts["type"], "message": facts["message"]}
    end = ("evaluation_result", status, stopped_by, result, facts)
    await run.context.db.write(_finish, run, *end)
    return result


def _settle_totals(session: Any, run: EvaluationRun) -> dict[str, Any]:
    run_id = run.context.run_id
    runs.require_held(session, run_id, run.context.owner)
    ledger.settle_run_calls(session, run_id)
    ids = dict.fromkeys(column.checkpoint for column in run.columns if column.checkpoint)
    known = {name: checkpoints.find_checkpoint(session, name) for name in ids}
    return {
        "cost_usd": pico_to_usd(ledger.read_run_cost_pico(session, run_id)),
        "model_calls": ledger.count_run_calls(session, run_id),
        "ledger": ledger.read_ledger_summary(session, run_id),
        "by_candidate": ledger.read_candidate_calls(session, run_id),
        "cases": cases.count_case_statuses(session, run_id),
        "checkpoints": {name: found for name, found in known.items() if found is not None},
    }


def _figures(
    run: EvaluationRun, held: dict[str, Any]
) -> tuple[list[dict[str, Any]], list[Comparison], list[Shortfall]]:
    """The columns' lines, the comparisons of each two, and where the bar is not met."""
    seed = run.context.spec.optimizer.seed
    results = {column.id: run.lab.all_results(column.id) for column in run.columns}
    scores = {name: scores_by_case(its) for name, its in results.items()}
    intervals = {name: mean_interval(list(its.values()), seed) for name, its in scores.items()}
    comparisons = [
        Comparison(a, b, paired_improvement(scores[a.id], scores[b.id], seed))
        for a, b in map(_in_order, combinations(run.columns, 2))
    ]
    judged = [(column, intervals[column.id]) for column in run.columns]
    below = shortfalls(judged, comparisons, run.parameters.min_score)
    lines = [
        _line(run, column, results[column.id], intervals[column.id], held)
        | {"below": {one.bar: one.text for one in below if one.column.id == column.id}}
        for column in run.columns
    ]
    return lines, comparisons, below


def _in_order(pair: tuple[Column, Column]) -> tuple[Column, Column]:
    """Before and after: what a column is compared with comes before it."""
    first, second = pair
    return (second, first) if first.against == second.id else pair


def _line(
    run: EvaluationRun,
    column: Column,
    results: list[CaseResult],
    score: Interval,
    held: dict[str, Any],
) -> dict[str, Any]:
    stored = held["checkpoints"].get(column.checkpoint)
    calls = held["by_candidate"].get(column.id, {})
    return {
        "model": column.model,
        "checkpoint": column.checkpoint,
        "score": score.as_dict(),
        "cost_usd": pico_to_usd(sum(calls.values())),
        "id": column.id,
        "name": column.name,
        "judged": column.judged,
        "against": column.against,
        "config_version": None if stored is None else stored.config_version,
        "summary": summary_by_evaluator(results, list(run.context.spec.weights)),
        "cases": count_statuses(results),
    }


def _result(
    run: EvaluationRun,
    held: dict[str, Any],
    figures: tuple[list[dict[str, Any]], list[Comparison], list[Shortfall]],
    status: RunStatus,
    stopped_by: str | None,
) -> dict[str, Any]:
    lines, comparisons, below = figures
    spec = run.parameters
    everything = [r for column in run.columns for r in run.lab.all_results(column.id)]
    fewest = min((one.change.n for one in comparisons), default=0)
    return {
        "mode": "evaluate",
        "run_id": run.context.run_id,
        "workflow_id": spec.workflow_id,
        "status": status,
        "stopped_by": stopped_by,
        "columns": lines,
        # Of the first column: what Orcheo's clients look for.
        "summary": lines[0]["summary"],
        "results": [result_line(r) for r in run.lab.all_results(run.columns[0].id)],
        "comparisons": [one.as_dict() for one in comparisons],
        "passed": status == "completed" and not below,
        "failures": [one.text for one in below],
        "min_score": spec.min_score,
        "not_worse_than": spec.not_worse_than,
        "split": spec.split,
        "cases_wanted": len(run.cases),
        "cost_usd": held["cost_usd"],
        "model_calls": held["model_calls"],
        "max_concurrency": run.context.cases_at_once,
        "dataset_id": run.dataset_id,
        "cases": held["cases"],
        "finish_reasons": dict(Counter(r.finish_reason for r in everything if r.finish_reason)),
        "notes": [*_notes(run, held), *([too_few_words(fewest)] if too_few_words(fewest) else [])],
        "simulated": run.context.simulated,
    }


def _notes(run: EvaluationRun, held: dict[str, Any]) -> list[str]:
    """What is to be known of the scores, in sentences."""
    notes = agent_notes(run.context, held["ledger"])
    notes += model_notes(run.columns, held["by_candidate"])
    if run.parameters.not_worse_than is not None:
        notes += [
            f"{column.name}: these are the prompts that it must not be worse than, so there is "
            "nothing to compare."
            for column in run.columns
            if column.judged and column.against is None
        ]
    learned = [
        column.name
        for column in run.columns
        if (found := held["checkpoints"].get(column.checkpoint)) is not None
        and found.fingerprint == run.dataset_id
        and run.parameters.split != "test"
    ]
    if learned:
        notes.append(
            f"{', '.join(dict.fromkeys(learned))}: learned from or chosen on cases of this "
            "dataset, so the score flatters; --split test has the others."
        )
    return notes


def _finish(session: Any, run: EvaluationRun, *end: Any) -> None:
    finish(session, run.context, *end)
    result = end[3]
    kept = {"passed": result["passed"], "cost_usd": result["cost_usd"]}
    kept["scores"] = [line["score"]["value"] for line in result["columns"]]
    runs.update_run_metrics(session, run.context.run_id, kept)


evaluate_workflow = RequestFlow(
    reported("evaluation")(_evaluate),
    name="evaluate-workflow",
    flow_run_name=run_name,
    validate_parameters=True,
)
