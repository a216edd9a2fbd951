"""What became of each case between the starting and the best prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cornerman.report.model import CaseOutcome
from cornerman.report.numbers import finite
from cornerman.report.text import ShownText, as_text, cut, show_value

# In the order in which a reader wants them: what got worse needs the first look.
VERDICTS = ("broke", "fixed", "failed", "wrong", "right")
LABELS = {
    "broke": "Broke",
    "fixed": "Fixed",
    "failed": "No answer",
    "wrong": "Still wrong",
    "right": "Right",
}
_SAME = 1e-9


@dataclass(frozen=True)
class CaseView:
    """A case with its verdict and its texts, cut to what a page can hold."""

    case: CaseOutcome
    verdict: str
    label: str
    glance: str
    inputs: Sequence[ShownText]
    expected: Sequence[ShownText]
    output: Sequence[ShownText]
    reason: ShownText
    error: ShownText


def verdict(case: CaseOutcome) -> str:
    """Say what the best prompts did to a case.

    Returns:
        `broke` when its score fell, `fixed` when it rose, else `failed` when it timed out or
        errored, `right` for a full score, `wrong` for any other.
    """
    before, after = finite(case.score_before), finite(case.score_after)
    if before is not None and after is not None and abs(after - before) > _SAME:
        return "fixed" if after > before else "broke"
    if case.status in {"timed_out", "errored"}:
        return "failed"
    return "right" if after is not None and after >= 1 - _SAME else "wrong"


def case_views(cases: Sequence[CaseOutcome]) -> list[CaseView]:
    """Order cases by verdict, then by their place in the dataset."""
    views = [_case_view(case) for case in cases]
    return sorted(views, key=lambda view: (VERDICTS.index(view.verdict), view.case.index))


def verdict_counts(views: Sequence[CaseView]) -> list[tuple[str, str, int]]:
    """Count cases per verdict as (verdict, label, count), absent verdicts left out."""
    counted = [(v, LABELS[v], sum(view.verdict == v for view in views)) for v in VERDICTS]
    return [entry for entry in counted if entry[2]]


def _case_view(case: CaseOutcome) -> CaseView:
    found = verdict(case)
    inputs = show_value(case.inputs)
    # One line to know the case by: its input, since ids are often mere positions.
    glance = " ".join(inputs[0].text[:400].split()) if inputs else ""
    return CaseView(
        case=case,
        verdict=found,
        label=_failed_label(case) if found == "failed" else LABELS[found],
        glance=glance[:160],
        inputs=inputs,
        expected=show_value(case.expected),
        output=show_value(case.output),
        reason=cut(as_text(case.reason)),
        error=cut(as_text(case.error)),
    )


def _failed_label(case: CaseOutcome) -> str:
    return "Timed out" if case.status == "timed_out" else "Errored"
