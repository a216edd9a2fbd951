"""A training run's part of the report."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from cornerman.domain.money import pico_to_usd
from cornerman.domain.runs import Event, Run, case_subject
from cornerman.domain.training.candidates import Candidate
from cornerman.domain.training.cases import CaseResult, mean_score
from cornerman.domain.training.progress import count_statuses
from cornerman.report.model import (
    CandidateNode,
    CaseCounts,
    CaseOutcome,
    EpochPoint,
    Estimate,
    Improvement,
    LedgerRow,
    SplitSizes,
    TrainingSection,
)
from cornerman.storage import cases, checkpoints, events, ledger, traces

_ENDS = {
    "length": "The answer was cut at its token limit (length).",
    "content_filter": "The provider's filter withheld the answer (content_filter).",
    "refusal": "The model refused to answer (refusal).",
}
# Nobody reads more failures than these.
_WORST_CASES = 24
# Of one case in the page; `cornerman runs trace` has them all.
MOST_CALLS = 20
_PAGE = 1000


def training_section(session: Any, run: Run) -> TrainingSection:
    """Everything that the page shows of a training run."""
    result = run.result or {}
    known = cases.read_candidates(session, run.id)
    results = cases.read_case_results(session, run.id)
    by_id = {candidate.id: candidate for candidate, _ in known}
    best_id = run.best_candidate_id
    epochs = _epochs(session, run.id)
    checkpoint = _best_checkpoint(session, run)
    split = result.get("dataset") or {}
    return TrainingSection(
        run_id=run.id,
        workflow_id=run.workflow_id,
        status=run.status,
        stopped_by=run.stopped_by or "",
        started_at=iso(run.started_at),
        finished_at=iso(run.finished_at),
        seed_test=estimate_of(result.get("seed_test_score")),
        best_test=estimate_of(result.get("test_score")),
        improvement=improvement_of(result.get("improvement")),
        unchanged=bool((result.get("improvement") or {}).get("unchanged")),
        remark=str((result.get("improvement") or {}).get("remark") or ""),
        notes=[str(note) for note in result.get("notes") or ()] + _of_judge(result),
        split=SplitSizes(**{name: split[name] for name in split}),
        cost_usd=pico_to_usd(ledger.read_run_cost_pico(session, run.id)),
        budget_usd=run.request.get("optimizer", {}).get("max_cost_usd"),
        model_calls=ledger.count_run_calls(session, run.id),
        cases=CaseCounts(**count_statuses(results)),
        epochs=epochs,
        candidates=[_node(candidate, decision, results) for candidate, decision in known],
        best_checkpoint_id="" if checkpoint is None else checkpoint.id,
        config_version=None if checkpoint is None else checkpoint.config_version,
        prompts_before=_texts(by_id.get("c0")),
        prompts_after=_texts(by_id.get(best_id)),
        cost_over_time=ledger.read_cost_over_time(session, run.id),
        worst_cases=_worst(session, run.id, results, best_id),
        ledger=ledger_rows(session, run.id),
    )


def iso(moment: datetime | None) -> str:
    """A time as the page takes it; empty when there is none."""
    return "" if moment is None else moment.isoformat(timespec="seconds")


def ledger_rows(session: Any, run_id: str) -> list[LedgerRow]:
    """What the run's calls cost, by role and model."""
    return [LedgerRow(**row) for row in ledger.read_ledger_summary(session, run_id)]


def _best_checkpoint(session: Any, run: Run) -> Any:
    stored = checkpoints.read_checkpoints(session, run.workflow_id, run_id=run.id, limit=1000)
    best_id = run.metrics.get("best_candidate_id")
    return next((c for c in stored if c.metadata.get("candidate_id") == best_id), None)


def _texts(candidate: Candidate | None) -> dict[str, str]:
    prompts = {} if candidate is None else candidate.prompts
    return {name: prompt.as_shown for name, prompt in prompts.items()}


def estimate_of(score: dict[str, Any] | None) -> Estimate | None:
    """A stored `{value, low, high, n}`."""
    if not score or score["value"] is None:
        return None
    return Estimate(score["value"], score["low"], score["high"], score["n"])


def improvement_of(change: dict[str, Any] | None) -> Improvement | None:
    """A stored paired interval."""
    if not change or change["mean"] is None:
        return None
    return Improvement(change["mean"], change["low"], change["high"], change["n"])


def _epochs(session: Any, run_id: str) -> list[EpochPoint]:
    points, spent = list[EpochPoint](), 0.0
    for event in _events(session, run_id):
        if event.event != "training_epoch_complete":
            continue
        payload = event.payload
        interval = payload.get("validation_interval") or {}
        points.append(
            EpochPoint(
                epoch=payload["epoch"],
                score=payload.get("score"),
                validation_score=payload.get("validation_score"),
                validation_low=interval.get("low"),
                validation_high=interval.get("high"),
                cost_usd=max(0.0, payload["cost_usd"] - spent),
                accepted=payload.get("accepted"),
                reason=payload.get("reason") or "",
            )
        )
        spent = payload["cost_usd"]
    return points


def _events(session: Any, run_id: str) -> list[Event]:
    held = list[Event]()
    while page := events.read_events(
        session, run_id, after=held[-1].seq if held else 0, limit=_PAGE
    ):
        held += page
    return held


def _node(
    candidate: Candidate, decision: dict[str, Any] | None, results: Sequence[CaseResult]
) -> CandidateNode:
    its = [r for r in results if r.candidate_id == candidate.id and r.split == "validation"]
    start = candidate.parent_id is None
    return CandidateNode(
        id=candidate.id,
        parent_id=candidate.parent_id,
        epoch=candidate.epoch,
        origin=candidate.origin,
        validation_score=mean_score(its),
        accepted=True if start else None if decision is None else bool(decision["accepted"]),
        reason="" if decision is None else str(decision["reason"]),
    )


def _worst(
    session: Any, run_id: str, results: Sequence[CaseResult], best_id: str
) -> list[CaseOutcome]:
    """The cases that the best prompts did worst on, the gravest first."""
    before = {r.case.id: r.score for r in results if r.candidate_id == "c0" and r.repeat == 0}
    after = [r for r in results if r.candidate_id == best_id and r.repeat == 0]
    failed = [r for r in after if r.score is None or r.score < 1]
    failed.sort(key=lambda r: (r.score is not None, r.score or 0.0, r.case.index))
    return [
        _outcome(result, before.get(result.case.id), _trace(session, run_id, result))
        for result in failed[:_WORST_CASES]
    ]


def _trace(session: Any, run_id: str, result: CaseResult) -> list[dict[str, Any]]:
    subject = case_subject(result.candidate_id, result.case.id, result.repeat)
    return traces.read_trace(session, run_id, subject)[:MOST_CALLS]


def _of_judge(result: dict[str, Any]) -> list[str]:
    """How far the run's judge agreed with people, where that was asked for."""
    judge = result.get("judge")
    if not judge or judge["kappa"]["value"] is None:
        return []
    kappa, who = judge["kappa"], judge["judge"]
    name = who.get("evaluator") or f"the referee of {who['referee']}"
    return [
        f"The judge {name} agreed with people on {judge['agreement']['value']:.0%} of "
        f"{judge['scored']} labelled cases before the run: kappa {kappa['value']:.2f} "
        f"({kappa['low']:.2f} to {kappa['high']:.2f}), {judge['min_kappa']:g} was asked for."
    ]


def reasons_of(result: CaseResult) -> str:
    """What is to be known of a case's score, in words."""
    reasons = [f"{name}: {s.reason}" for name, s in result.evaluations.items() if s.reason]
    if result.finish_reason is not None:
        reasons.insert(0, _ENDS.get(result.finish_reason, result.finish_reason))
    elif result.status == "scored" and result.output in (None, ""):
        reasons.insert(0, "The agent's answer was empty, though it came to its end.")
    return "; ".join(reasons)


def _outcome(result: CaseResult, before: float | None, trace: list[dict[str, Any]]) -> CaseOutcome:
    return CaseOutcome(
        case_id=result.case.id,
        index=result.case.index,
        split=result.split,
        status=result.status,
        inputs=result.case.inputs,
        expected=result.case.expected_output,
        output=result.output,
        score_before=before,
        score_after=result.score,
        reason=reasons_of(result),
        error="" if result.error is None else f"{result.error.type}: {result.error.message}",
        trace=trace,
    )
