"""An evaluation as JUnit XML, which every CI service shows beside other tests.

A suite for the bar, with a test for each column and bar; and a suite for each column, with a test
for each case. There are failures exactly where the bar is not met, so that the file and the exit
code say the same: a column that falls short has a failure for each case that pulls it down.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree as ET

from cornerman.report.evaluation import (
    CaseAnswer,
    EvaluatedCase,
    EvaluatedColumn,
    EvaluationSection,
)
from cornerman.report.text import as_text

# What XML 1.0 cannot hold, be it escaped.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MOST_CHARS = 4_000
_COUNTED = ("failure", "error", "skipped")
_HEAD = '<?xml version="1.0" encoding="utf-8"?>\n'


def junit_xml(section: EvaluationSection) -> str:
    """The document, declaration included."""
    root = ET.Element("testsuites", {"name": f"cornerman evaluate {section.workflow_id}"})
    bar = _bar_suite(section)
    suites = [bar] if len(bar) else []
    suites += [_column_suite(section, column) for column in section.columns]
    for suite in suites:
        tests = suite.findall("testcase")
        counts = {kind: sum(test.find(kind) is not None for test in tests) for kind in _COUNTED}
        _put_counts(suite, len(tests), counts)
    root.extend(suites)
    everything = root.findall("testsuite/testcase")
    counts = {kind: sum(t.find(kind) is not None for t in everything) for kind in _COUNTED}
    _put_counts(root, len(everything), counts)
    _clean(root)
    ET.indent(root)
    return _HEAD + ET.tostring(root, encoding="unicode") + "\n"


def _put_counts(element: ET.Element, tests: int, counts: Mapping[str, int]) -> None:
    element.set("tests", str(tests))
    for name, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(name, str(counts[kind]))


def _bar_suite(section: EvaluationSection) -> ET.Element:
    suite = ET.Element("testsuite", {"name": "bar"})
    about, unjudged = f"{section.workflow_id}.bar", _unjudged(section)
    for column in section.columns if section.has_bar else ():
        bars = dict[str, str]()
        if section.min_score is not None:
            bars["min_score"] = f"at least {section.min_score:g}"
        if column.held_to:
            bars["not_worse_than"] = f"not worse than {column.held_to}"
        for bar, words in bars.items() if column.judged else ():
            test = _test(suite, about, f"{column.name}: {words}")
            if unjudged:
                ET.SubElement(test, "error", {"message": unjudged})
            elif bar in column.below:
                ET.SubElement(test, "failure", {"message": column.below[bar]})
    if unjudged and not len(suite):
        ET.SubElement(_test(suite, about, "the run"), "error", {"message": unjudged})
    return suite


def _unjudged(section: EvaluationSection) -> str:
    """Why the bar could not be judged; empty when it was."""
    if section.status == "completed":
        return ""
    why = f", stopped by {section.stopped_by}" if section.stopped_by else ""
    return f"run {section.run_id} is {section.status}{why}: not every case was scored"


def _column_suite(section: EvaluationSection, column: EvaluatedColumn) -> ET.Element:
    suite = ET.Element("testsuite", {"name": column.name})
    against = next((c.id for c in section.columns if c.name == column.held_to), "")
    about, seconds = f"{section.workflow_id}.{column.name}", 0.0
    for case in section.cases:
        by_column = {answer.column: answer for answer in case.answers}
        answer = by_column.get(column.id)
        if answer is None:
            continue
        test = _test(suite, about, case.case_id)
        test.set("time", f"{answer.duration_ms / 1000:.3f}")
        seconds += answer.duration_ms / 1000
        if answer.score is None:
            # It is left out of the mean too.
            ET.SubElement(test, "skipped", {"message": answer.error or answer.status})
        elif why := _pulls_down(section, column, answer, by_column.get(against)):
            ET.SubElement(test, "failure", {"message": why})
        ET.SubElement(test, "system-out").text = _told(case, answer)
    suite.set("time", f"{seconds:.3f}")
    return suite


def _pulls_down(
    section: EvaluationSection,
    column: EvaluatedColumn,
    answer: CaseAnswer,
    other: CaseAnswer | None,
) -> str:
    """Why the case is one of those for which the column falls short; empty when it is not."""
    if answer.score is None or _unjudged(section):
        return ""
    bar = section.min_score
    if "min_score" in column.below and bar is not None and answer.score < bar:
        return f"{answer.score:.4g} is below min_score of {bar:g}"
    fell = other is not None and other.score is not None and answer.score < other.score
    if "not_worse_than" in column.below and fell and other is not None:
        return f"{answer.score:.4g}, and {other.score:.4g} with {column.held_to}"
    return ""


def _told(case: EvaluatedCase, answer: CaseAnswer) -> str:
    parts = {
        "score": answer.score,
        "inputs": case.inputs,
        "expected": case.expected,
        "output": answer.output,
        "why": answer.reason,
        "error": answer.error,
    }
    told = [f"{name}: {as_text(held)}" for name, held in parts.items() if held not in (None, "")]
    return "\n".join(text[:_MOST_CHARS] for text in told)


def _test(suite: ET.Element, about: str, name: str) -> ET.Element:
    return ET.SubElement(suite, "testcase", {"classname": about, "name": name})


def _clean(root: ET.Element) -> None:
    for element in root.iter():
        if element.text is not None:
            element.text = _NOT_XML.sub("\ufffd", element.text)
        element.attrib.update({k: _NOT_XML.sub("\ufffd", v) for k, v in element.attrib.items()})
