"""An evaluation as a page and as JUnit XML."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from page_reader import PageReader
from sample_evaluation import sample_evaluation

from cornerman.report import Report, render_report
from cornerman.report.evaluation import EvaluationSection, evaluation_rows
from cornerman.report.junit import junit_xml
from cornerman.report.markdown import evaluation_markdown

WHEN = "2026-03-09T14:05:31+00:00"


def page(section: EvaluationSection) -> PageReader:
    return PageReader(
        render_report(Report(title="support: evaluation", generated_at=WHEN, evaluation=section))
    )


def parsed(section: EvaluationSection) -> ET.Element:
    return ET.fromstring(junit_xml(section))


def failing(section: EvaluationSection) -> list[str]:
    """Names of the tests that have a failure."""
    tests = parsed(section).iter("testcase")
    return [str(test.get("name")) for test in tests if test.find("failure") is not None]


# -- the page


def test_the_page_shows_the_verdict_the_columns_and_the_cases_that_differ() -> None:
    reader = page(sample_evaluation())
    for said in (
        *("Not passed", "worse than b3c with gpt-4o-mini by -0.3333", "to compare with"),
        *("below the bar", "−0.333", "against b3c with gpt-4o-mini, n = 3", "v4"),
        *("case-1", "case-2", "TimeoutError: the model did not answer", "4 test cases show"),
    ):
        assert said in reader.text, said
    assert "case-0" not in reader.text and reader.unbalanced == []
    assert "Evaluation, by role" in reader.text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"passed": True, "failures": []}, "Passed"),
        ({"status": "stopped", "stopped_by": "budget"}, "Not judged"),
        ({"status": "running", "passed": None}, "Not known yet"),
        ({"min_score": None, "not_worse_than": ""}, "no bar was set"),
        ({"differing": [], "differ": 0}, "The columns scored every case alike."),
        ({"differ": 80}, "2 of 80 are shown"),
    ],
)
def test_the_page_words_each_end(changes: dict[str, object], said: str) -> None:
    assert said in page(sample_evaluation(**changes)).text


def test_an_evaluation_without_anything_yet_has_a_page() -> None:
    assert "No column is known yet." in page(EvaluationSection(run_id="r", status="pending")).text


def test_hostile_text_stays_text() -> None:
    section = sample_evaluation()
    case = replace(section.differing[0], inputs={"q": "<script>alert(1)</script>"})
    shown = replace(section, differing=[case, *section.differing[1:]])
    html = render_report(Report(title="x", generated_at=WHEN, evaluation=shown))
    assert "<script>alert(1)" not in html and "&lt;script&gt;alert(1)" in html


def test_rows_hold_each_columns_figures() -> None:
    rows = evaluation_rows(sample_evaluation())
    assert [row["score"] for row in rows] == [0.5, 0.625]
    assert (rows[0]["change"], rows[0]["against"]) == (-0.3333, "b3c with gpt-4o-mini")


def test_markdown_has_a_line_for_each_column_and_the_verdict() -> None:
    text = evaluation_markdown(sample_evaluation(), simulated=True)
    assert "| spec with gpt-4o-mini | 0.500 (95%: 0.200 to 0.800, n=3) | -0.333 (95%: " in text
    assert "**Not passed.**" in text and "2 of 4 cases differ" in text and "Simulated" in text
    stopped = evaluation_markdown(sample_evaluation(status="stopped"), simulated=False)
    assert "The bar was not judged." in stopped and "Simulated" not in stopped


# -- JUnit


def test_there_is_a_suite_for_the_bar_and_one_for_each_column() -> None:
    root = parsed(sample_evaluation())
    assert [suite.get("name") for suite in root] == [
        "bar",
        "spec with gpt-4o-mini",
        "b3c with gpt-4o-mini",
    ]
    assert {name: root.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "10",
        "failures": "2",
        "errors": "0",
        "skipped": "1",
    }
    assert root[1].get("tests") == "4" and float(root[1].get("time", "0")) == 0.8


def test_a_column_below_its_bar_fails_with_the_cases_that_pull_it_down() -> None:
    assert failing(sample_evaluation()) == [
        "spec with gpt-4o-mini: not worse than b3c with gpt-4o-mini",
        "case-1",
    ]


def test_below_min_score_the_cases_under_it_fail() -> None:
    section = sample_evaluation(min_score=0.6, not_worse_than="")
    spec = replace(section.columns[0], below={"min_score": "spec: 0.5000 is below"}, held_to="")
    section = replace(section, columns=[spec, section.columns[1]])
    assert failing(section) == ["spec with gpt-4o-mini: at least 0.6", "case-1", "case-3"]


def test_where_the_bar_is_met_nothing_fails_whatever_single_cases_scored() -> None:
    section = sample_evaluation(passed=True, failures=[])
    met = [replace(column, below={}) for column in section.columns]
    root = parsed(replace(section, columns=met))
    assert (root.get("failures"), root.get("errors")) == ("0", "0")


def test_a_run_that_was_stopped_is_an_error_and_not_a_pass() -> None:
    root = parsed(sample_evaluation(status="stopped", stopped_by="budget"))
    assert (root.get("errors"), root.get("failures")) == ("2", "0")
    assert "stopped by budget" in str(root[0][0][0].get("message"))


def test_a_run_without_a_bar_that_was_stopped_is_an_error_too() -> None:
    section = sample_evaluation(status="stopped", stopped_by="budget", min_score=None)
    free = [replace(column, held_to="") for column in section.columns]
    root = parsed(replace(section, not_worse_than="", columns=free))
    assert (root[0][0].get("name"), root.get("errors")) == ("the run", "1")


def test_an_errored_case_is_skipped_with_its_reason() -> None:
    case = parsed(sample_evaluation())[1][2]
    skipped = case.find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "TimeoutError: the model did not answer"


def test_text_that_no_xml_can_hold_is_written_all_the_same() -> None:
    section = sample_evaluation()
    case = replace(section.cases[0], case_id='a\x00"<b>\ud800', inputs="\x1b[31m]]>")
    root = parsed(replace(section, cases=[case]))
    assert root[1][0].get("name") == 'a\ufffd"<b>\ufffd'
    assert "\ufffd[31m]]>" in str(root[1][0].findtext("system-out"))
