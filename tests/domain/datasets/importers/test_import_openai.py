"""Cases of OpenAI's chat fine-tuning files, and what every import accounts for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cornerman.domain.datasets import DatasetOptions
from cornerman.domain.datasets.importers import SOURCES, import_file
from cornerman.domain.datasets.importers.made import Made
from cornerman.domain.datasets.load import load_cases
from cornerman.domain.errors import BadInputError, NotFoundError

SYSTEM = {"role": "system", "content": "Be kind."}
HI = {"role": "user", "content": "Hi"}
HELLO = {"role": "assistant", "content": "Hello"}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {}}}


def lines(folder: Path, *rows: Any, name: str = "x.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def imported(folder: Path, *rows: Any) -> Made:
    return import_file(lines(folder, *rows), "openai")


def test_makes_a_case_of_each_conversation_and_counts_the_rest(tmp_path: Path) -> None:
    made = imported(
        tmp_path,
        {"messages": [SYSTEM, HI, HELLO], "tools": [TOOL]},
        {"messages": [SYSTEM, HELLO]},
        {"messages": [SYSTEM, HI]},
        {"messages": [HI]},
        {"prompt": "Hi", "completion": "Hello"},
        {"messages": "Hi"},
    )
    assert made.cases == [
        {
            "id": "0",
            "inputs": {"messages": [HI]},
            "expected_output": "Hello",
            "metadata": {"tools": [TOOL], "system": "Be kind."},
        }
    ]
    assert made.skipped_words() == [
        "2 of 6 skipped: no output (first: x.jsonl, line 3)",
        "1 of 6 skipped: no input (first: x.jsonl, line 2)",
        "1 of 6 skipped: no messages (first: x.jsonl, line 5)",
        "1 of 6 skipped: not a conversation (first: x.jsonl, line 6)",
    ]


def test_a_system_message_that_is_the_same_everywhere_is_the_prompt(tmp_path: Path) -> None:
    made = imported(tmp_path, *({"messages": [SYSTEM, HI, HELLO]} for _ in range(2)))
    assert made.prompts == ["Be kind."]
    assert [case["inputs"] for case in made.cases] == [{"messages": [HI]}] * 2
    assert "the same system message in 2 cases" in made.notes[0]
    assert "1 case like another one" in made.notes[1]


def test_system_messages_that_differ_stay_inputs(tmp_path: Path) -> None:
    other = {"role": "developer", "content": "The customer is Ann."}
    made = imported(tmp_path, {"messages": [SYSTEM, HI, HELLO]}, {"messages": [other, HI, HELLO]})
    assert [case["inputs"]["system"] for case in made.cases] == ["Be kind.", "The customer is Ann."]
    assert made.prompts == []
    assert "2 different system messages in 2 cases" in made.notes[0]


def test_takes_the_preferred_output_of_preferences(tmp_path: Path) -> None:
    row = {
        "input": {"messages": [HI], "tools": []},
        "preferred_output": [HELLO],
        "non_preferred_output": [{"role": "assistant", "content": "What?"}],
    }
    assert imported(tmp_path, row).cases[0]["expected_output"] == "Hello"


def test_what_cannot_be_stored_is_counted_and_ids_are_unique(tmp_path: Path) -> None:
    made = Made()
    made.add("a", {"q": "1\x00"}, "x")
    made.add("b", {"q": "2"}, float("nan"))
    for place in "cdef":
        made.add(place, {"q": place}, "x", given_id="same" if place in "cde" else "same-2")
    assert [case["id"] for case in made.cases] == ["same", "same-2", "same-3", "same-2-2"]
    assert len(made.skipped) == 2 and sum(made.skipped.values()) == 2
    assert made.records == 6
    assert "NUL character" in made.skipped_words()[0]


def test_what_was_made_loads_as_a_dataset_as_it_is(tmp_path: Path) -> None:
    made = imported(
        tmp_path,
        {"messages": [SYSTEM, HI, HELLO]},
        {"messages": [{"role": "user", "content": "Bye\u2028now"}, HELLO]},
    )
    path = lines(tmp_path, *made.cases, name="cases.jsonl")
    found = load_cases(DatasetOptions.model_validate({"path": str(path)}))
    assert [case.inputs for case in found] == [case["inputs"] for case in made.cases]
    assert [case.id for case in found] == ["0", "1"]
    assert found[0].metadata == {"system": "Be kind."}


@pytest.mark.parametrize("source", SOURCES)
def test_refuses_another_ending_and_a_file_that_is_not_there(source: str, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="There is no file"):
        import_file(tmp_path / "gone.json", source)
    path = tmp_path / "x.docx"
    path.write_bytes(b"PK")
    with pytest.raises(BadInputError, match=rf"x\.docx ends in '\.docx'; a file of {source} ends"):
        import_file(path, source)


@pytest.mark.parametrize(
    ("source", "name"),
    [("openai", "x.jsonl"), ("langfuse", "x.jsonl"), ("otel", "x.jsonl"), ("inspect", "x.json")],
)
def test_names_the_place_of_what_is_no_json(source: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("{oops")
    with pytest.raises(BadInputError, match=r"x\.jsonl?.* is not valid JSON"):
        import_file(path, source)


def test_refuses_an_unknown_tool_and_a_file_without_cases(tmp_path: Path) -> None:
    path = lines(tmp_path, {"messages": [HI]})
    with pytest.raises(BadInputError, match="must be one of openai, langfuse, otel, promptfoo"):
        import_file(path, "excel")
    with pytest.raises(BadInputError, match="makes no case: 1 of 1 skipped: no output"):
        import_file(path, "openai")
