"""What a report holds of an evaluation, and how its page lays out the cases that differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cornerman.report.charts import Whisker, estimate_whisker
from cornerman.report.model import CaseCounts, Estimate, Improvement, LedgerRow
from cornerman.report.sections import StepView, step_views
from cornerman.report.text import ShownText, as_text, cut, show_value

_SAME = 1e-9


@dataclass(frozen=True, kw_only=True)
class EvaluatedColumn:
    """One set of prompts under one model.

    Args:
        judged: Whether it was asked for; another is there to be compared with.
        against: Name of the column that `change` is measured from; empty where there is none.
        held_to: Name of the column that it must not be worse than; empty where there is none.
        change: How much better it is, paired by case.
        summary: Each evaluator's mean.
        below: Where it does not meet the bar, in a sentence each: `min_score`, `not_worse_than`.
    """

    id: str
    name: str
    model: str = ""
    checkpoint: str = ""
    config_version: int | None = None
    judged: bool = True
    score: Estimate | None = None
    against: str = ""
    held_to: str = ""
    change: Improvement | None = None
    cost_usd: float = 0.0
    cases: CaseCounts = field(default_factory=CaseCounts)
    summary: Mapping[str, float | None] = field(default_factory=dict[str, float | None])
    below: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True)
class CaseAnswer:
    """What one column made of a case.

    Args:
        score: 0 to 1, repeats averaged; None when it has none.
        reason: What the evaluators said of its first repeat.
        trace: The first repeat's model calls in order.
    """

    column: str
    status: str = "scored"
    score: float | None = None
    output: Any = None
    reason: str = ""
    error: str = ""
    duration_ms: float = 0.0
    trace: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, kw_only=True)
class EvaluatedCase:
    """One case under every column that has run it, in the columns' order."""

    case_id: str
    index: int = 0
    split: str = ""
    inputs: Any = None
    expected: Any = None
    answers: Sequence[CaseAnswer] = ()

    @property
    def lowest(self) -> float:
        """The lowest of its scores; one without a score counts as -1."""
        return min(self._scores)

    @property
    def spread(self) -> float:
        """How far its scores are apart, 0 to 2; one without a score counts as -1."""
        return max(self._scores) - self.lowest

    @property
    def _scores(self) -> list[float]:
        return [-1.0 if answer.score is None else answer.score for answer in self.answers]

    @property
    def differs(self) -> bool:
        """Whether its columns' scores differ."""
        return self.spread > _SAME


@dataclass(frozen=True, kw_only=True)
class EvaluationSection:
    """One evaluation.

    Args:
        passed: Whether the bar is met; None while that is not known.
        failures: Where it is not, in sentences.
        cases: All that were run, in the dataset's order.
        differing: The cases on which the columns differ most, with their traces; where there is
            one column alone, those that did not get a full score.
        differ: How many cases those are.
    """

    run_id: str
    workflow_id: str = ""
    status: str = ""
    stopped_by: str = ""
    started_at: str = ""
    finished_at: str = ""
    split: str = "all"
    min_score: float | None = None
    not_worse_than: str = ""
    passed: bool | None = None
    failures: Sequence[str] = ()
    notes: Sequence[str] = ()
    columns: Sequence[EvaluatedColumn] = ()
    cases: Sequence[EvaluatedCase] = ()
    cases_wanted: int | None = None
    differing: Sequence[EvaluatedCase] = ()
    differ: int = 0
    cost_usd: float = 0.0
    budget_usd: float | None = None
    model_calls: int = 0
    ledger: Sequence[LedgerRow] = ()

    @property
    def has_bar(self) -> bool:
        """Whether anything was asked of the scores."""
        return self.min_score is not None or bool(self.not_worse_than)

    @property
    def verdict(self) -> str:
        """`passed`, `below`, `unjudged`; empty where no bar was set or the run goes on."""
        if not self.has_bar or self.passed is None:
            return ""
        if self.passed:
            return "passed"
        return "below" if self.status == "completed" else "unjudged"


@dataclass(frozen=True)
class AnswerView:
    """One column's answer with its texts, cut to what a page can hold."""

    answer: CaseAnswer
    name: str
    output: Sequence[ShownText]
    reason: ShownText
    error: ShownText
    steps: Sequence[StepView]


@dataclass(frozen=True)
class DifferingView:
    """A case that columns differ on."""

    case: EvaluatedCase
    glance: str
    inputs: Sequence[ShownText]
    expected: Sequence[ShownText]
    answers: Sequence[AnswerView]


def column_whiskers(
    columns: Sequence[EvaluatedColumn],
) -> list[tuple[EvaluatedColumn, Whisker | None]]:
    """Each column with its score's place on the axis from 0 to 1."""
    return [(column, estimate_whisker(column.score)) for column in columns]


def differing_views(section: EvaluationSection) -> list[DifferingView]:
    """Lay out the cases that differ, as they are ordered."""
    names = {column.id: column.name for column in section.columns}
    return [_differing(case, names) for case in section.differing]


def _differing(case: EvaluatedCase, names: Mapping[str, str]) -> DifferingView:
    inputs = show_value(case.inputs)
    glance = " ".join(inputs[0].text[:400].split())[:160] if inputs else ""
    return DifferingView(
        case,
        glance,
        inputs,
        show_value(case.expected),
        [
            AnswerView(
                answer,
                names.get(answer.column, answer.column),
                show_value(answer.output),
                cut(as_text(answer.reason)),
                cut(as_text(answer.error)),
                step_views(answer.trace),
            )
            for answer in case.answers
        ],
    )


def evaluation_rows(section: EvaluationSection) -> list[dict[str, Any]]:
    """A row for each column, of plain values."""
    return [
        {
            "column": column.name,
            "score": None if column.score is None else round(column.score.value, 4),
            "low": _rounded(None if column.score is None else column.score.low),
            "high": _rounded(None if column.score is None else column.score.high),
            "n": 0 if column.score is None else column.score.n,
            "against": column.against,
            "change": None if column.change is None else _rounded(column.change.mean),
            "cost_usd": round(column.cost_usd, 6),
        }
        for column in section.columns
    ]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
