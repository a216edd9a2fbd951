"""An evaluation of two columns on four cases, below its bar."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cornerman.report.evaluation import (
    CaseAnswer,
    EvaluatedCase,
    EvaluatedColumn,
    EvaluationSection,
)
from cornerman.report.model import CaseCounts, Estimate, Improvement, LedgerRow

_CALL: dict[str, Any] = {
    "seq": 1,
    "role": "agent",
    "model": "gpt-4o-mini",
    "prompts": ["system"],
    "messages": [{"role": "user", "content": "Where is it?"}],
    "response": {"content": "billing"},
    "tool_calls": [],
    "usage": {"input_tokens": 12, "output_tokens": 1},
    "cost_usd": 0.0001,
    "latency_ms": 210.0,
    "error": None,
    "note": "",
}


def sample_evaluation(**changes: Any) -> EvaluationSection:
    """Build it; `changes` replace fields."""
    scores = ((1.0, 1.0), (0.0, 1.0), (None, 0.0), (0.5, 0.5))
    cases = [_case(place, *pair) for place, pair in enumerate(scores)]
    worse = "spec with gpt-4o-mini: worse than b3c with gpt-4o-mini by -0.3333"
    columns = [
        EvaluatedColumn(
            id="c0",
            name="spec with gpt-4o-mini",
            model="gpt-4o-mini",
            score=Estimate(0.5, 0.2, 0.8, 3),
            against="b3c with gpt-4o-mini",
            held_to="b3c with gpt-4o-mini",
            change=Improvement(-0.3333, -0.6, -0.1, 3),
            cost_usd=0.0012,
            cases=CaseCounts(3, 0, 1),
            below={"not_worse_than": worse},
        ),
        EvaluatedColumn(
            id="c1",
            name="b3c with gpt-4o-mini",
            model="gpt-4o-mini",
            checkpoint="b3c",
            config_version=4,
            judged=False,
            score=Estimate(0.625, 0.3, 0.9, 4),
            cost_usd=0.002,
            cases=CaseCounts(4, 0, 0),
        ),
    ]
    section = EvaluationSection(
        run_id="gate-1",
        workflow_id="support",
        status="completed",
        started_at="2026-03-09T14:00:00+00:00",
        finished_at="2026-03-09T14:00:09+00:00",
        min_score=0.4,
        not_worse_than="best",
        passed=False,
        failures=[worse],
        notes=["4 test cases show only a large gain."],
        columns=columns,
        cases=cases,
        cases_wanted=4,
        differing=[replace(case, answers=_traced(case)) for case in (cases[2], cases[1])],
        differ=2,
        cost_usd=0.0032,
        model_calls=8,
        ledger=[LedgerRow(role="agent", model="gpt-4o-mini", calls=8, cost_usd=0.0032)],
    )
    return replace(section, **changes)


def _case(place: int, spec: float | None, best: float | None) -> EvaluatedCase:
    return EvaluatedCase(
        case_id=f"case-{place}",
        index=place,
        split="test",
        inputs={"message": f"Where is parcel {place}?"},
        expected="delivery",
        answers=[_answer("c0", spec), _answer("c1", best)],
    )


def _answer(column: str, score: float | None) -> CaseAnswer:
    failed = score is None
    return CaseAnswer(
        column=column,
        status="errored" if failed else "scored",
        score=score,
        output=None if failed else "delivery" if score == 1 else "billing",
        reason="" if failed or score == 1 else "same: expected 'delivery'",
        error="TimeoutError: the model did not answer" if failed else "",
        duration_ms=200.0,
    )


def _traced(case: EvaluatedCase) -> list[CaseAnswer]:
    return [replace(answer, trace=[_CALL]) for answer in case.answers]
