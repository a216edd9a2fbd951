"""Texts from models and datasets must stay texts, whatever they hold."""

import dataclasses
import json
import time
from typing import Any

import pytest
from page_reader import PageReader
from sample_report import sample_report

from cornerman.report import Report, render_report
from cornerman.report.text import MAX_CHARS, show_value, visible

HOSTILE = [
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "</script></style></textarea><svg onload=alert(1)>",
    '" onmouseover="alert(1)" x=\'',
    "<!-- <![CDATA[ ]]> --> &lt;b&gt; {{ 7*7 }} {% raw %}",
    "line\u2028separator\u2029paragraph",
    "\u202eevil\u2066 \u05e9\u05dc\u05d5\u05dd",
    "\x1b[31mred\x1b[0m\x00\x07\x9b",
    "lone \ud800 surrogate \ufffe",
]


def poison(value: Any, text: str) -> Any:
    """Replace every string of a report, nested ones too, keeping the words that are codes."""
    if isinstance(value, str):
        return text
    if isinstance(value, dict):
        return {f"{key}{text}": poison(entry, text) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(poison(entry, text) for entry in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return dataclasses.replace(value, **{n: poison(getattr(value, n), text) for n in names})
    return value


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_in_every_field_adds_no_tag_and_no_attribute(text: str) -> None:
    tame = PageReader(render_report(poison(sample_report(), "tame")))
    reader = PageReader(render_report(poison(sample_report(), text)))
    assert reader.unbalanced == []
    assert reader.tags == tame.tags
    assert {(t, n) for t, n, _ in reader.attributes} == {(t, n) for t, n, _ in tame.attributes}


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_leaves_scripts_whole_and_the_file_writable(text: str) -> None:
    html = render_report(poison(sample_report(), text))
    reader = PageReader(html)
    assert len(reader.scripts) == 2
    assert json.loads(reader.scripts[0])
    html.encode("utf-8")


def test_markup_is_shown_as_it_was_written() -> None:
    report = Report(title=HOSTILE[0], generated_at="")
    assert HOSTILE[0] in PageReader(render_report(report)).text


def test_terminal_codes_and_overrides_become_visible() -> None:
    assert visible("\x1b[31m\x00") == "␛[31m␀"
    assert visible("\u202eabc") == "‹U+202E›abc"
    assert visible("a\r\nb\tc") == "a\nb\tc"


def test_a_megabyte_is_cut_with_a_note() -> None:
    report = poison(sample_report(), "tame")
    battles = report.battles
    turn = dataclasses.replace(battles.battles[0].turns[0], text="x" * 1_000_000)
    battle = dataclasses.replace(battles.battles[0], turns=[turn])
    small = render_report(report)
    html = render_report(
        dataclasses.replace(report, battles=dataclasses.replace(battles, battles=[battle]))
    )
    assert "20,000 of 1,000,000 characters shown" in html
    assert len(html) < len(small) + MAX_CHARS


def test_a_megabyte_in_every_field_of_a_case_and_prompt_renders_quickly() -> None:
    report = sample_report()
    training = dataclasses.replace(
        report.training, worst_cases=[poison(report.training.worst_cases[0], "y " * 500_000)],
        prompts_before={"system": "a b " * 250_000}, prompts_after={"system": "a c " * 250_000},
    )  # fmt: skip
    start = time.perf_counter()
    html = render_report(dataclasses.replace(report, training=training))
    assert len(html) < 600_000
    assert time.perf_counter() - start < 10


def test_all_fields_of_an_input_share_one_limit() -> None:
    shown = show_value({f"field-{n}": "x" * 15_000 for n in range(50)})
    assert sum(len(part.text) for part in shown) <= MAX_CHARS
    assert "more fields not shown" in shown[-1].note


def test_values_that_json_does_not_know_are_still_shown() -> None:
    assert "object" in show_value([object()])[0].text
