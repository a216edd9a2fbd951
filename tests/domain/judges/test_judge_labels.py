"""Files of labelled cases: what is read, and how a file that cannot be is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cornerman.domain.errors import BadInputError, NotFoundError
from cornerman.domain.judges import LabelColumns
from cornerman.domain.judges.labels import read_labels


def write(folder: Path, *rows: dict[str, Any], name: str = "labels.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


GOOD = {"output": "Paris", "label": "pass"}
BAD = {"output": "Lisbon", "label": "fail"}


def test_all_that_a_case_may_have_is_read(tmp_path: Path) -> None:
    row = {
        "id": 7,
        "inputs": {"question": "Capital?"},
        "output": {"city": "Paris"},
        "expected_output": "Paris",
        "metadata": {"topic": "cities"},
        "label": True,
        "annotator": "Ada",
    }
    found = read_labels(write(tmp_path, row, BAD))
    first, second = found.cases
    assert (first.case.id, first.case.inputs) == ("7", {"question": "Capital?"})
    assert first.output == {"city": "Paris"}
    assert (first.case.expected_output, first.case.metadata) == ("Paris", {"topic": "cities"})
    assert (second.case.id, second.case.inputs, second.case.expected_output) == ("1", {}, None)
    assert [one.label for one in found.cases] == [1, 0]
    assert (found.levels, found.unread) == ((0, 1), ("annotator",))


def test_a_csv_with_names_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text('question,answer,rating\nCapital?,"Paris, France",5\nCapital?,,2\n')
    columns = LabelColumns(output="answer", label="rating", inputs="question")
    found = read_labels(path, scale="1-5", columns=columns)
    assert [one.label for one in found.cases] == [1, 0.25]
    assert found.cases[0].case.inputs == {"question": "Capital?"}
    assert found.cases[1].output == "", "an agent may have said nothing"
    assert found.levels == (0, 0.25, 0.5, 0.75, 1)
    assert [found.as_given(level) for level in found.levels] == [1, 2, 3, 4, 5]


def test_many_kinds_of_labels_become_five_levels(tmp_path: Path) -> None:
    rows = [{"output": "x", "label": n / 11} for n in range(12)]
    assert read_labels(write(tmp_path, *rows)).levels == (0, 0.25, 0.5, 0.75, 1)
    few = [{"output": "x", "label": label} for label in (0.2, 0.9)]
    assert read_labels(write(tmp_path, *few)).levels == (0.2, 0.9)


def test_conversations_for_a_referee(tmp_path: Path) -> None:
    chat = [
        {"role": "system", "content": "Sell."},
        {"role": "user", "content": "How much?"},
        {"role": "assistant", "content": "Ten."},
    ]
    turns = [{"speaker": "persona", "text": "Hello"}, {"speaker": "agent", "text": "Hi"}]
    scene = {"description": "A shop.", "agent_goal": "Sell.", "persona_goal": "Buy."}
    found = read_labels(
        write(
            tmp_path,
            {"messages": chat, "label": 1, "scenario": scene},
            {"turns": turns, "label": 0, "scenario": "bicycle"},
        ),
        referee=True,
    )
    first, second = found.cases
    assert [(t.speaker, t.text) for t in first.turns] == [
        ("persona", "How much?"),
        ("agent", "Ten."),
    ]
    assert [(t.index, t.speaker) for t in second.turns] == [(0, "persona"), (1, "agent")]
    assert getattr(first.scenario, "agent_goal", "") == "Sell." and second.scenario == "bicycle"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([GOOD, {"output": "x"}], "line 2 has no label; it has: output. A case needs output"),
        ([GOOD, {"label": 1}], "line 2 has no output; it has: label"),
        ([GOOD, GOOD | {"label": 4}], "line 2: label: 4 is neither a number of 0 to 1 nor true"),
        ([GOOD, GOOD | {"label": "nan"}], "label: 'nan' is neither"),
        ([GOOD, GOOD], "all 2 labels are 1; how far a judge agrees shows only"),
        ([GOOD | {"id": "a"}, BAD | {"id": "a"}], "line 2 has the id 'a' of"),
        ([GOOD, BAD | {"output": "\x00"}], ""),
        ([], "holds no records"),
    ],
)
def test_a_file_that_cannot_be_used_says_where_and_what(
    tmp_path: Path, rows: list[dict[str, Any]], said: str
) -> None:
    path = write(tmp_path, *rows)
    if not said:
        assert read_labels(path).cases  # it is only shown to a model, never stored
        return
    with pytest.raises(BadInputError, match=r"^judge\.calibration: ") as refused:
        read_labels(path, where="judge.calibration")
    assert said in refused.value.message


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"label": 1}, "has no messages"),
        ({"label": 1, "messages": "hello"}, "messages: is no list of objects"),
        ({"label": 1, "messages": []}, "has no messages|nobody says anything"),
        ({"label": 1, "turns": [{"speaker": "me", "text": "x"}]}, "turns: "),
        (
            {"label": 1, "turns": [{"speaker": "agent", "text": "x"}], "scenario": {"id": "s"}},
            "scenario.description: Field required",
        ),
    ],
)
def test_a_conversation_that_cannot_be_read_is_refused(
    tmp_path: Path, row: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadInputError, match=said):
        read_labels(write(tmp_path, row, row | {"label": 0}), referee=True)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"^FILE: there is no file"):
        read_labels(tmp_path / "none.jsonl")
