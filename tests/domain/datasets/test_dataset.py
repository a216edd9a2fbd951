"""Cases from requests and files, their splits and their fingerprint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cornerman.domain.datasets import DatasetOptions, SplitOptions
from cornerman.domain.datasets.load import fingerprint, load_cases, split_cases
from cornerman.domain.errors import BadInputError, NotFoundError
from cornerman.domain.training import EvaluatorOptions
from cornerman.domain.training.cases import Case

QA = {"inputs": {"question": "q"}, "expected_output": "a"}


def load(path: Path, **options: Any) -> tuple[Case, ...]:
    dataset = DatasetOptions.model_validate({"path": path.name, **options})
    return load_cases(dataset, path.parent)


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def cases(n: int, prefix: str = "c") -> list[Case]:
    return [Case(f"{prefix}{index}", index, {"n": index}, str(index)) for index in range(n)]


@pytest.mark.parametrize(
    ("columns", "inputs"),
    [
        ({"inputs": {"question": "q"}, "expected_output": "a"}, {"question": "1+1"}),
        ({"inputs": "q", "expected_output": "a"}, {"q": "1+1"}),
        ({"inputs": ["q", "t"], "expected_output": "a"}, {"q": "1+1", "t": "sum"}),
    ],
)
def test_maps_columns_in_each_form(
    tmp_path: Path, columns: dict[str, Any], inputs: dict[str, Any]
) -> None:
    path = write(tmp_path, "x.csv", "q,a,t\n1+1,2,sum\n")
    found = load(path, columns=columns)
    assert found[0].inputs == inputs
    assert found[0].expected_output == "2"


def test_reads_bom_crlf_blank_lines_and_quotes(tmp_path: Path) -> None:
    text = b'\xef\xbb\xbfq,a\r\n"one, ""two""\r\nthree",1\r\n\r\nfour,2\r\n'
    found = load(write(tmp_path, "x.csv", text), columns=QA)
    assert [case.inputs["question"] for case in found] == ['one, "two"\r\nthree', "four"]


def test_reads_jsonl_of_cases_with_ids_and_metadata(tmp_path: Path) -> None:
    text = '{"inputs": {"q": "a\u2028b"}, "id": 7, "metadata": {"t": 1}}\n\n{"inputs": {"q": 2}}'
    found = load(write(tmp_path, "x.jsonl", text))
    assert [(case.id, case.index) for case in found] == [("7", 0), ("1", 1)]
    assert found[0].inputs == {"q": "a\u2028b"}
    assert found[0].metadata == {"t": 1}


def test_reads_inputs_as_json_in_a_csv_cell(tmp_path: Path) -> None:
    path = write(tmp_path, "x.csv", 'inputs,expected_output\n"{""q"": 1}",2\n{oops,3\n')
    assert [case.inputs for case in load(path)] == [{"q": 1}, {"inputs": "{oops"}]


def test_finds_the_one_array_in_a_json_object(tmp_path: Path) -> None:
    document = {"canary": "x", "examples": [{"q": "1", "a": "2"}]}
    path = write(tmp_path, "x.json", json.dumps(document))
    assert load(path, columns=QA)[0].expected_output == "2"
    assert load(path, columns=QA, records="examples")[0].expected_output == "2"


def test_keeps_the_expected_patterns_group(tmp_path: Path) -> None:
    path = write(tmp_path, "x.jsonl", json.dumps({"q": "?", "a": "so 9 * 2\n#### 18"}))
    assert load(path, columns=QA, expected_pattern="#### (.+)")[0].expected_output == "18"


@pytest.mark.parametrize(
    ("name", "text", "options", "message"),
    [
        ("x.csv", "q,b\n1,2\n", {"columns": QA}, "x.csv, line 2 has no column 'a'; it has: q, b"),
        ("x.csv", "q,a\n1\n", {"columns": QA}, "x.csv, line 2 has 1 cells, but the header has 2"),
        ("x.csv", 'q,a\n"1\n2",3\n4\n', {"columns": QA}, "x.csv, line 4 has 1 cells"),
        ("x.csv", 'q,a\n"1,2\n', {"columns": QA}, "is not valid CSV"),
        ("x.csv", "q,q\n1,2\n", {}, "more than one column named 'q'"),
        ("x.csv", "q,a\n", {"columns": QA}, "x.csv holds no records"),
        ("x.csv", "", {}, "x.csv holds no records"),
        ("x.jsonl", "{}\n{oops\n", {}, "x.jsonl, line"),
        ("x.jsonl", '{"inputs": {}}\n3', {}, "x.jsonl, line 2 must be an object"),
        ("x.jsonl", '{"inputs": {}}\n{bad', {}, "x.jsonl, line 2 is not valid JSON"),
        ("x.jsonl", '{"inputs": {"a": NaN}}', {}, "at inputs.a: nan is not a finite number"),
        ("x.jsonl", '{"inputs": {"a": "\\u0000"}}', {}, "NUL character"),
        ("x.jsonl", '{"inputs": {}, "id": "\\ud800"}', {}, "at id: holds half of a surrogate pair"),
        ("x.jsonl", '{"inputs": {}, "id": 1}\n{"inputs": {}, "id": 1}', {}, "line 2 has the id"),
        ("x.json", "[" * 5000, {}, "x.json is not valid JSON"),
        ("x.json", '{"a": [], "b": []}', {}, "has 2 arrays, so which one is meant?"),
        ("x.json", '{"a": []}', {"records": "b"}, "no array named 'b'"),
        ("x.json", "3", {}, "must hold an array or an object"),
        ("x.jsonl", "{}", {"records": "b"}, "dataset.records: is for JSON files"),
        ("x.txt", "", {}, "ends in '.txt'; expected one of .json"),
        ("x.csv", b"q,a\n\xff,2\n", {}, "is not UTF-8 text (byte 4"),
        (
            "x.jsonl",
            '{"q": 1, "a": "none"}',
            {"columns": QA, "expected_pattern": "#### (.+)"},
            "is not found in the expected output of x.jsonl, line 1",
        ),
    ],
)
def test_names_the_file_and_place_of_a_fault(
    tmp_path: Path, name: str, text: str | bytes, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadInputError) as caught:
        load(write(tmp_path, name, text), **options)
    assert message in caught.value.message


def test_says_what_to_do_without_an_expected_output(tmp_path: Path) -> None:
    path = write(tmp_path, "x.csv", "inputs,label\nhello,1\n")
    with pytest.raises(BadInputError) as caught:
        load(path)
    assert "or set it to null" in caught.value.hint
    assert load(path, columns={"expected_output": None})[0].expected_output is None


def test_names_the_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"there is no file .*gone\.csv"):
        load(tmp_path / "gone.csv")


@pytest.mark.parametrize("path", ["../secret.csv", "/etc/passwd", "link.csv", "~/x.csv", "a\x00"])
def test_stays_within_the_allowed_folders(tmp_path: Path, path: str) -> None:
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    outside = write(tmp_path, "secret.csv", "inputs,expected_output\na,b\n")
    (allowed / "link.csv").symlink_to(outside)
    with pytest.raises(BadInputError):
        load_cases(DatasetOptions(path=path), allowed, folders=[allowed])


def test_uses_the_first_cases_alone() -> None:
    dataset = DatasetOptions.model_validate({"cases": [{"inputs": {"n": n}} for n in range(5)]})
    assert [case.inputs["n"] for case in load_cases(dataset, max_cases=2)] == [0, 1]


@given(n=st.integers(10, 200), seed=st.integers(), tenths=st.tuples(st.integers(1, 8)))
def test_splits_every_case_once(n: int, seed: int, tenths: tuple[int]) -> None:
    train = tenths[0] / 10
    options = SplitOptions(train=train, validation=0.1, test=round(0.9 - train, 1), seed=seed)
    split = split_cases(cases(n), options)
    parts = [split.train, split.validation, split.test]
    assert sorted(case.index for part in parts for case in part) == list(range(n))
    assert all(parts)
    assert abs(len(split.train) - n * train) < 2


def test_a_case_keeps_its_split_when_the_file_is_reordered() -> None:
    options = SplitOptions.model_validate({"seed": 3})
    forward = split_cases(cases(50), options)
    backward = split_cases(cases(50)[::-1], options)
    assert forward.assignment == backward.assignment
    other = split_cases(cases(50), SplitOptions.model_validate({"seed": 4}))
    assert other.assignment != forward.assignment


def test_a_small_dataset_is_train_and_validation_at_once() -> None:
    split = split_cases(cases(9), SplitOptions.model_validate({}))
    assert len(split.train) == len(split.validation) == 9
    assert split.test == ()
    assert "9 cases are under 10" in split.note


def test_the_fingerprint_covers_what_scores_depend_on() -> None:
    options = SplitOptions.model_validate({})
    exact = EvaluatorOptions(id="e", entrypoint="exact_match")
    prints = {
        fingerprint(some, split_cases(some, split), [evaluator])
        for some in (cases(20), cases(21), cases(20, "d"))
        for split in (options, SplitOptions.model_validate({"seed": 1}))
        for evaluator in (exact, exact.model_copy(update={"weight": 2.0}))
    }
    assert len(prints) == 12
    assert all(len(each) == 16 for each in prints)
    same = fingerprint(cases(20), split_cases(cases(20), options), [exact])
    assert same in prints


@pytest.mark.needs_shared_data
@pytest.mark.parametrize(
    ("path", "options", "count", "expected"),
    [
        (
            "bbh/object_counting.json",
            {"columns": {"inputs": {"question": "input"}, "expected_output": "target"}},
            250,
            "8",
        ),
        (
            "gsm8k/test.jsonl",
            {
                "columns": {"inputs": "question", "expected_output": "answer"},
                "expected_pattern": "#### (.+)",
            },
            1319,
            "18",
        ),
        (
            "banking77/test.csv",
            {"columns": {"inputs": ["text"], "expected_output": "category"}},
            3080,
            "card_arrival",
        ),
    ],
)
def test_reads_public_datasets_as_they_are(
    shared_data: Path, path: str, options: dict[str, Any], count: int, expected: str
) -> None:
    found = load_cases(DatasetOptions.model_validate({"path": path, **options}), shared_data)
    assert len(found) == count
    assert found[0].expected_output == expected
