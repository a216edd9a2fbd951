"""How a training run ends: its result, from what is stored, in one transaction with its end."""

from __future__ import annotations

from collections import Counter
from typing import Any

from cornerman.domain.errors import JudgeRefusedError, StopError
from cornerman.domain.money import pico_to_usd
from cornerman.domain.runs import RunStatus
from cornerman.domain.secrets import redact_json
from cornerman.domain.statistics import (
    mean_interval,
    paired_improvement,
    scores_by_case,
    too_few_words,
)
from cornerman.domain.training.candidates import demos_of
from cornerman.flows.agent_notes import agent_notes
from cornerman.flows.case_run import STATUS, error_facts, finish, result_line
from cornerman.flows.demo_gains import demo_gains, gain_notes
from cornerman.flows.training_run import TrainingRun
from cornerman.storage import cases, checkpoints, ledger, runs


async def end_training(
    run: TrainingRun, *, stop: StopError | None = None, error: Exception | None = None
) -> dict[str, Any]:
    """Store the last checkpoint, the result and the run's end; return the result.

    A run that was stopped keeps everything that it has; so does one that failed.
    """
    progress = run.progress
    if progress.incumbent is not None and not _incumbent_is_stored(run):
        await run.store_checkpoint(progress.epoch)
    stopped_by = _stopped_by(run, stop, error)
    status: RunStatus = "failed" if error else STATUS.get(stopped_by or "", "completed")
    # What the rest needs is stored by now, and calls that are left behind are booked.
    held = await run.context.db.write(_settle_totals, run)
    result = redact_json(_result(run, held, status, stopped_by, error))
    facts = None if error is None else error_facts(error)
    if facts is not None:
        result["error"] = {"type": facts["type"], "message": facts["message"]}
    end = ("training_result", status, stopped_by, result, facts)
    await run.context.db.write(finish, run.context, *end)
    return result


def _incumbent_is_stored(run: TrainingRun) -> bool:
    best = run.progress.incumbent
    return best is not None and any(
        checkpoint.metadata.get("candidate_id") == best.id for checkpoint in run.checkpoints
    )


def _stopped_by(run: TrainingRun, stop: StopError | None, error: Exception | None) -> str | None:
    if error is not None:
        return "error"
    if stop is not None:
        return stop.stopped_by
    # Having run all its epochs is not being stopped.
    reason = run.progress.stopped_by
    return None if reason == "epochs" else reason


def _settle_totals(session: Any, run: TrainingRun) -> dict[str, Any]:
    run_id = run.context.run_id
    runs.require_held(session, run_id, run.context.owner)
    ledger.settle_run_calls(session, run_id)
    workflow_id, most = run.context.spec.workflow_id, run.context.spec.optimizer.epochs + 1
    # Read anew: which of them is the workflow's best has changed since they were stored.
    stored = checkpoints.read_checkpoints(session, workflow_id, run_id=run_id, limit=most)
    return {
        "cost_usd": pico_to_usd(ledger.read_run_cost_pico(session, run_id)),
        "model_calls": ledger.count_run_calls(session, run_id),
        "ledger": ledger.read_ledger_summary(session, run_id),
        "cases": cases.count_case_statuses(session, run_id),
        "calls_of": ledger.read_mean_calls(session, run_id, _compared(run)),
        "checkpoints": [checkpoint.as_dict() for checkpoint in reversed(stored)],
    }


def _compared(run: TrainingRun) -> list[str]:
    """The starting and the best candidate, where demonstrations are paid for."""
    best = run.progress.incumbent
    if best is None or not demos_of(best.prompts.values()):
        return []
    return [run.start.id, best.id]


def _best_of(stored: list[dict[str, Any]], candidate_id: str) -> dict[str, Any] | None:
    """The best candidate's checkpoint: the one that is marked, else the one that came first."""
    its = [c for c in stored if c["metadata"]["candidate_id"] == candidate_id]
    return next((c for c in its if c["is_best"]), its[0] if its else None)


def _test_scores(run: TrainingRun, candidate_id: str) -> dict[str, float]:
    results = [r for r in run.lab.all_results(candidate_id) if r.split == "test"]
    return scores_by_case(results)


def _result(
    run: TrainingRun,
    held: dict[str, Any],
    status: str,
    stopped_by: str | None,
    error: Exception | None,
) -> dict[str, Any]:
    spec, progress = run.context.spec, run.progress
    everything = [r for c in run.lab.candidate_ids() for r in run.lab.all_results(c)]
    best = progress.incumbent or run.start
    seed = spec.optimizer.seed
    before, after = _test_scores(run, run.start.id), _test_scores(run, best.id)
    mine = _best_of(held["checkpoints"], best.id)
    # Two samples of the same prompts differ by chance alone; their difference says nothing.
    unchanged = best.prompts == run.start.prompts
    tests = {name: _test_scores(run, name) for name in run.lab.candidate_ids()}
    demos = demo_gains(run, best, tests, held["calls_of"])
    change = paired_improvement({} if unchanged else before, after, seed)
    return {
        "mode": "train",
        "run_id": run.context.run_id,
        "workflow_id": spec.workflow_id,
        "status": status,
        "stopped_by": stopped_by,
        "cost_usd": held["cost_usd"],
        "model_calls": held["model_calls"],
        "max_concurrency": run.context.cases_at_once,
        "requested_concurrency": spec.optimizer.max_concurrency,
        "dataset_id": spec.dataset.id or run.dataset_id,
        "dataset_fingerprint": run.dataset_id,
        "dataset": _dataset_facts(run),
        "prompts": {name: prompt.model_dump() for name, prompt in best.prompts.items()},
        "seed_score": run.validation_score(run.start),
        "validation_score": progress.best_score,
        "best_checkpoint": mine,
        "checkpoints": held["checkpoints"],
        "summary": {} if mine is None else mine["metadata"]["summary"],
        "seed_test_score": mean_interval(list(before.values()), seed).as_dict(),
        "test_score": mean_interval(list(after.values()), seed).as_dict(),
        "improvement": {
            "mean": change.mean,
            "low": change.low,
            "high": change.high,
            "n": change.n,
            "better": change.better,
            "unchanged": unchanged,
            "remark": too_few_words(len(after)),
        },
        "cases": held["cases"],
        "judge": _judged(run, error),
        "finish_reasons": dict(Counter(r.finish_reason for r in everything if r.finish_reason)),
        "results": [result_line(result) for result in run.lab.all_results(best.id)],
        "notes": agent_notes(run.context, held["ledger"]) + gain_notes(demos),
        **({} if demos is None else {"demonstrations": demos}),
        "simulated": run.context.simulated,
    }


def _judged(run: TrainingRun, error: Exception | None) -> dict[str, Any] | None:
    """What was measured of the judge, where the request asks for it; also where that ended it."""
    return error.facts if isinstance(error, JudgeRefusedError) else run.judged


def _dataset_facts(run: TrainingRun) -> dict[str, Any]:
    split = run.split
    return {
        "train": len(split.train),
        "validation": len(split.validation),
        "test": len(split.test),
        "note": split.note,
    }
