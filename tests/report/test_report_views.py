import json
from dataclasses import replace

import pytest
from sample_report import sample_battles

from cornerman.report import charts, text
from cornerman.report.markdown import batch_markdown
from cornerman.report.model import CandidateNode, CaseOutcome, EpochPoint
from cornerman.report.sections import case_views, verdict, verdict_counts


@pytest.mark.parametrize(
    ("before", "after", "status", "expected"),
    [
        (1.0, 0.0, "scored", "broke"),
        (1.0, 0.0, "timed_out", "broke"),
        (0.2, 0.7, "scored", "fixed"),
        (0.0, 0.0, "timed_out", "failed"),
        (1.0, None, "errored", "failed"),
        (0.5, 0.5, "scored", "wrong"),
        (1.0, 1.0, "scored", "right"),
        (None, 1.0, "scored", "right"),
        (None, None, "scored", "wrong"),
    ],
)
def test_verdict(before: float | None, after: float | None, status: str, expected: str) -> None:
    case = CaseOutcome(case_id="c", status=status, score_before=before, score_after=after)
    assert verdict(case) == expected


def test_broken_cases_come_first_and_counts_skip_absent_verdicts() -> None:
    fixed = CaseOutcome(case_id="f", index=0, score_before=0.0, score_after=1.0)
    broken = CaseOutcome(case_id="b", index=1, score_before=1.0, score_after=0.0)
    views = case_views([fixed, broken])
    assert [view.case.case_id for view in views] == ["b", "f"]
    assert verdict_counts(views) == [("broke", "Broke", 1), ("fixed", "Fixed", 1)]


def test_json_in_a_script_holds_nothing_that_html_reads() -> None:
    hostile = "</script><!-- & \u2028\u2029 \ud800"
    text = charts.script_json({"a": hostile})
    assert not set("<>&\u2028\u2029\ud800") & set(text)
    assert json.loads(text) == {"a": hostile}


def test_long_curves_are_thinned_but_keep_both_ends() -> None:
    points = [(float(n), float(n)) for n in range(10_000)]
    thin = charts.thinned(points, 400)
    assert len(thin) == 400
    assert (thin[0], thin[-1]) == (points[0], points[-1])


def test_a_budget_far_above_the_spending_is_said_not_drawn() -> None:
    chart = charts.cost_chart("c", [(0.0, 0.0), (9.0, 0.01)], 5.0)
    assert chart
    assert chart.data["budget"] is None
    assert "$5.00 is off the scale" in chart.note


def test_a_run_without_scores_has_no_learning_curve() -> None:
    assert charts.learning_chart([EpochPoint(epoch=1)]) is None


def test_the_line_of_incumbents_skips_rejected_candidates() -> None:
    candidates = [
        CandidateNode(id="c0"),
        CandidateNode(id="c1", parent_id="c0", accepted=False),
        CandidateNode(id="c2", parent_id="c0", accepted=True),
    ]
    rows = charts.lineage(candidates)
    assert [row.main for row in rows] == [True, False, True]
    assert [row.line_below for row in rows] == [True, True, False]


def test_whiskers_stay_on_their_axis() -> None:
    mark = charts.whisker(0.5, -3.0, 7.0)
    assert mark
    assert (mark.low, mark.at, mark.high) == (0.0, 50.0, 100.0)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "$0.00"), (0.00000004, "under $0.000001"), (0.0037, "$0.0037"), (0.000123, "$0.000123"),
        (0.0489, "$0.0489"), (0.1, "$0.10"), (1234.5, "$1,234.50"), (None, "–"),
    ],
)  # fmt: skip
def test_money_has_the_digits_that_its_size_deserves(value: float | None, shown: str) -> None:
    assert text.usd(value) == shown


def test_differences_show_their_sign_and_zero_has_no_minus() -> None:
    assert (text.signed(0.25), text.signed(-0.25)) == ("+0.250", "−0.250")
    assert text.score(-0.0001) == "0.000"


def test_times_are_written_in_utc_and_other_text_stays() -> None:
    assert text.when("2026-03-09T16:05:00+02:00") == "9 March 2026, 14:05 UTC"
    assert text.when("soon") == "soon"
    assert text.took("2026-03-09T14:00:00", "2026-03-09T14:03:05Z") == "3\u00a0min 05\u00a0s"


def test_battles_that_only_confirm_one_are_told_apart() -> None:
    batch = sample_battles()
    held = len(batch.battles)
    again = replace(batch.battles[0], rerun=True)
    text = batch_markdown(replace(batch, battles=[*batch.battles, again]), simulated=False)
    assert f" of {held}, and 1 more that confirm" in text
