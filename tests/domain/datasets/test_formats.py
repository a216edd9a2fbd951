"""Datasets in the forms that people have them: tables, Parquet, compressed, conversations."""

from __future__ import annotations

import builtins
import datetime
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cornerman.domain.datasets import DatasetOptions
from cornerman.domain.datasets.content import read_bytes
from cornerman.domain.datasets.files import read_records
from cornerman.domain.datasets.load import load_cases
from cornerman.domain.errors import BadInputError
from cornerman.domain.training.cases import Case

QA = {"inputs": {"question": "q"}, "expected_output": "a"}
JSONL = '{"inputs": {"q": "one"}, "expected_output": "1"}\n'


def load(path: Path, **options: Any) -> tuple[Case, ...]:
    dataset = DatasetOptions.model_validate({"path": path.name, **options})
    return load_cases(dataset, path.parent)


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(path: Path, **options: Any) -> BadInputError:
    with pytest.raises(BadInputError) as caught:
        load(path, **options)
    return caught.value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.csv", 'q;a\n"one; two, three";1,5\n'),
        (
            "x.csv",
            "sep=;\r\nq;a\r\none; two, three;1,5\r\n".replace("one;", '"one;').replace(
                "three;", 'three";'
            ),
        ),
        ("x.tsv", "q\ta\none; two, three\t1,5\n"),
        ("x.tsv", '"q"\t"a"\n"one; two, three"\t"1,5"\n'),
        ("x.csv", "q\ta\none; two, three\t1,5\n"),
        ("x.csv", 'q,a\n"one; two, three","1,5"\n'),
    ],
)
def test_reads_a_table_whatever_separates_its_cells(tmp_path: Path, name: str, text: str) -> None:
    found = load(write(tmp_path, name, text), columns=QA)
    assert [(case.inputs, case.expected_output) for case in found] == [
        ({"question": "one; two, three"}, "1,5")
    ]


def test_a_comma_wins_where_semicolons_stand_in_the_texts(tmp_path: Path) -> None:
    rows = "".join(f"a;b {n},{n}\n" for n in range(30))
    assert load(write(tmp_path, "x.csv", f"q,a\n{rows}"), columns=QA)[7].expected_output == "7"
    header = write(tmp_path, "y.csv", 'q;"a, b"\n1;2\n')
    columns = {"inputs": "q", "expected_output": "a, b"}
    assert load(header, columns=columns)[0].expected_output == "2"


def test_quotes_in_a_tab_separated_file_are_text_where_it_does_not_quote(tmp_path: Path) -> None:
    path = write(tmp_path, "x.tsv", 'q\ta\n"open\t1\n5" pipe\t2\n')
    assert [case.inputs["question"] for case in load(path, columns=QA)] == ['"open', '5" pipe']


def test_places_are_the_files_own_lines_after_a_separator_line(tmp_path: Path) -> None:
    error = refusal(write(tmp_path, "x.csv", "sep=;\nq;a\n1;2\n3\n"), columns=QA)
    assert "x.csv, line 4 has 1 cells, but the header has 2 columns: q, a" in error.message
    assert "semicolons" in error.hint


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_reads_the_encoding_that_a_byte_order_mark_says(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path, "x.tsv", "q\ta\nZürich\t1\n".encode(encoding))
    assert load(path, columns=QA)[0].inputs == {"question": "Zürich"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("q,a\none,1\n".encode("utf-16-le"), "x.csv is UTF-16 text without a byte order mark"),
        ("q,a\none,1\nZürich,2\n".encode("cp1252"), "x.csv is not UTF-8 text (byte 11 cannot"),
        ("q,a\none,1\nZürich,2\n".encode("cp1252"), "line 3)"),
        (b"\xff\xfeq\x00\x00\xd8", "x.csv is not UTF-16 text"),
        (gzip.compress(b"q,a\n1,2\n", mtime=0), "x.csv is compressed by gzip"),
    ],
)
def test_refuses_other_encodings_by_name(tmp_path: Path, content: bytes, message: str) -> None:
    error = refusal(write(tmp_path, "x.csv", content), columns=QA)
    assert message in error.message
    assert error.hint


@pytest.mark.parametrize(
    ("name", "text", "options"),
    [
        ("x.jsonl.gz", JSONL, {}),
        ("x.ndjson.GZ", JSONL, {}),
        ("x.json.gz", f"[{JSONL}]", {}),
        ("x.csv.gz", "q,expected_output\none,1\n", {"columns": {"inputs": "q"}}),
        ("x.tsv.gz", "q\texpected_output\none\t1\n", {"columns": {"inputs": "q"}}),
    ],
)
def test_reads_each_form_compressed(
    tmp_path: Path, name: str, text: str, options: dict[str, Any]
) -> None:
    found = load(write(tmp_path, name, gzip.compress(text.encode())), **options)
    assert [(case.inputs, case.expected_output) for case in found] == [({"q": "one"}, "1")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (JSONL.encode(), "is not compressed by gzip, as its ending says"),
        (gzip.compress(JSONL.encode(), mtime=0)[:-9], "x.jsonl.gz cannot be unpacked to its end"),
        (gzip.compress(b"{}\n{oops", mtime=0), "x.jsonl.gz, line 2 is not valid JSON"),
        (gzip.compress(b"", mtime=0), "x.jsonl.gz holds no records"),
    ],
)
def test_refuses_what_does_not_unpack(tmp_path: Path, content: bytes, message: str) -> None:
    assert message in refusal(write(tmp_path, "x.jsonl.gz", content)).message


def test_unpacks_no_more_than_its_limit(tmp_path: Path) -> None:
    bomb = write(tmp_path, "x.jsonl.gz", gzip.compress(b"{}\n" * 1_000_000, mtime=0))
    assert bomb.stat().st_size < 10_000
    assert len(read_bytes(bomb, 3_000_000)) == 3_000_000
    with pytest.raises(BadInputError, match="unpacks to more than 2,999,999 bytes"):
        read_records(bomb, most_bytes=2_999_999)


def test_reads_no_more_records_than_its_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cornerman.domain.datasets.files.MOST_RECORDS", 3)
    assert len(read_records(write(tmp_path, "x.jsonl", JSONL * 3))) == 3
    assert "more than 3 records" in refusal(write(tmp_path, "y.jsonl", JSONL * 4)).message


# -- Parquet


def parquet(path: Path, rows: list[dict[str, Any]], **options: Any) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path, **options)
    return path


def test_reads_parquet_with_nested_columns_and_gzip_around_it(tmp_path: Path) -> None:
    rows = [
        {"inputs": {"q": "one", "n": 1}, "expected_output": "1", "id": "a"},
        {"inputs": {"q": "two", "n": 2}, "expected_output": None, "id": "b"},
    ]
    path = parquet(tmp_path / "x.parquet", rows)
    packed = write(tmp_path, "y.parquet.gz", gzip.compress(path.read_bytes()))
    for found in (load(path), load(packed)):
        assert [case.inputs for case in found] == [{"q": "one", "n": 1}, {"q": "two", "n": 2}]
        assert [case.expected_output for case in found] == ["1", None]
        assert [case.id for case in found] == ["a", "b"]


def test_parquet_values_become_those_of_json(tmp_path: Path) -> None:
    row = {"day": datetime.date(2026, 1, 2), "raw": b"caf\xc3\xa9", "list": [1, 2], "a": "x"}
    found = load(
        parquet(tmp_path / "x.parquet", [row]),
        columns={"inputs": ["day", "raw", "list"], "expected_output": "a"},
    )
    assert found[0].inputs == {"day": "2026-01-02", "raw": "café", "list": [1, 2]}


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([{"q": "1"}], {"columns": QA}, "x.parquet, row 0 has no column 'a'; it has: q"),
        ([{"q": float("nan"), "a": 1}], {"columns": QA}, "row 0: at inputs.question: nan is not"),
        ([{"q": 1}], {"records": "q"}, "x.parquet has its records as rows"),
    ],
)
def test_names_the_row_of_a_fault_in_parquet(
    tmp_path: Path, rows: list[dict[str, Any]], options: dict[str, Any], message: str
) -> None:
    assert message in refusal(parquet(tmp_path / "x.parquet", rows), **options).message


def test_refuses_what_is_no_parquet_and_what_holds_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = write(tmp_path, "x.parquet", b"PAR1 but no more")
    assert "x.parquet is not a Parquet file that can be read" in refusal(damaged).message
    # One text in the file, ten thousand in memory.
    wide = parquet(tmp_path / "y.parquet", [{"q": "x" * 10_000, "a": "1"}] * 10_000)
    assert wide.stat().st_size < 100_000
    with pytest.raises(BadInputError, match=r"y\.parquet unpacks to more than 1,000,000 bytes"):
        read_records(wide, most_bytes=1_000_000)
    monkeypatch.setattr("cornerman.domain.datasets.tables.MOST_RECORDS", 9_999)
    assert "has 10,000 rows; the limit is 9,999" in refusal(wide, columns=QA).message


def test_names_the_extra_where_pyarrow_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = parquet(tmp_path / "x.parquet", [{"q": "1", "a": "2"}])
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    error = refusal(path, columns=QA)
    assert "need the package pyarrow, which is not installed" in error.message
    assert error.hint == "Type: pip install 'cornerman[parquet]'"


# -- conversations

TALK = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": [{"type": "text", "text": "Price?"}]},
    {"role": "assistant", "content": "5 EUR"},
    {"role": "user", "content": "Thanks"},
]


def talk(folder: Path, messages: Any, **columns: Any) -> Case:
    path = write(folder, "x.jsonl", json.dumps({"messages": messages, "topic": "t", "best": "6"}))
    return load(path, columns={"messages": "messages", **columns})[0]


def test_the_last_answer_of_a_conversation_is_the_expected_output(tmp_path: Path) -> None:
    case = talk(tmp_path, TALK, metadata=["topic"])
    assert case.expected_output == "5 EUR"
    assert case.inputs["messages"] == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Price?"},
    ]
    assert case.inputs["system"] == "Be kind."
    assert case.metadata == {"topic": "t"}


def test_a_named_expected_output_leaves_the_conversation_whole(tmp_path: Path) -> None:
    case = talk(tmp_path, TALK, expected_output="best", inputs=["topic"])
    assert case.expected_output == "6"
    assert case.inputs["topic"] == "t"
    assert len(case.inputs["messages"]) == 5


def test_columns_read_the_same_after_they_were_stored(tmp_path: Path) -> None:
    path = write(tmp_path, "x.jsonl", json.dumps({"messages": TALK, "best": "6", "inputs": "no"}))
    for columns in ({"messages": "messages"}, {"messages": "messages", "expected_output": "best"}):
        options = DatasetOptions.model_validate({"path": str(path), "columns": columns})
        stored = DatasetOptions.model_validate(json.loads(options.model_dump_json()))
        assert load_cases(stored) == load_cases(options)
    with pytest.raises(ValueError, match="name at least one column"):
        DatasetOptions.model_validate({"path": "x.csv", "columns": {"inputs": {}}})


def test_reads_conversations_as_text_in_other_forms_and_from_parquet(tmp_path: Path) -> None:
    sharegpt = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]
    expected = [{"role": "user", "content": "Hi"}]
    case = talk(tmp_path, json.dumps(sharegpt))
    assert (case.inputs, case.expected_output) == ({"messages": expected}, "Hello")
    case = talk(tmp_path, {"messages": TALK[1:3]})
    assert (case.inputs, case.expected_output) == ({"messages": expected}, "Hello")
    path = parquet(tmp_path / "x.parquet", [{"m": TALK[1:3]}, {"m": TALK[1:3] * 2}])
    assert load(path, columns={"messages": "m"})[0].inputs == {"messages": expected}


def test_an_answer_that_calls_a_tool_is_expected_with_its_arguments(tmp_path: Path) -> None:
    function = {"name": "look", "arguments": '{"id": 7}'}
    called = {"role": "assistant", "content": None, "tool_calls": [{"function": function}]}
    case = talk(tmp_path, [*TALK[:2], called])
    assert case.expected_output == {
        "content": None,
        "tool_calls": [{"name": "look", "arguments": {"id": 7}}],
    }


def test_tools_in_a_conversation_take_one_form_with_ids(tmp_path: Path) -> None:
    older = [
        TALK[1],
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "7"},
        TALK[2],
    ]
    messages = talk(tmp_path, older).inputs["messages"]
    function = {"name": "f", "arguments": "{}"}
    assert messages[1]["tool_calls"] == [
        {"id": "call_1_0", "type": "function", "function": function}
    ]
    assert messages[2] == {"role": "tool", "name": "f", "content": "7", "tool_call_id": "call_1_0"}


def test_an_answer_of_weight_0_is_not_the_one(tmp_path: Path) -> None:
    unlearned = {"role": "assistant", "content": "No.", "weight": 0}
    assert talk(tmp_path, [*TALK[1:4], unlearned]).expected_output == "Hello"


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        (TALK[:2], "has no message of the assistant"),
        ([TALK[0], TALK[2]], "has nothing before the assistant's last message"),
        ("Hi", "'Hi' is not a list of messages"),
        ([], "is not a list of messages"),
        ([{"role": "user", "content": "x"}, "y"], "message 1 is not an object"),
        ([{"role": "king", "content": "x"}], "message 0 has the role 'king'; known: system, user"),
        (None, "None is not a list of messages"),
    ],
)
def test_names_the_place_of_what_is_no_conversation(
    tmp_path: Path, messages: Any, message: str
) -> None:
    with pytest.raises(BadInputError) as caught:
        talk(tmp_path, messages)
    assert "dataset.columns.messages: x.jsonl, line 1, column 'messages': " in caught.value.message
    assert message in caught.value.message
    assert caught.value.field == "dataset.columns.messages"


def test_points_to_the_messages_where_no_column_is_named(tmp_path: Path) -> None:
    error = refusal(write(tmp_path, "x.jsonl", json.dumps({"messages": TALK})))
    assert "has no column 'inputs'; it has: messages" in error.message
    assert "dataset.columns.messages" in error.hint


def test_reads_a_hundred_thousand_lines(tmp_path: Path) -> None:
    lines = "".join(
        json.dumps({"messages": [TALK[1], {"role": "assistant", "content": str(n)}]}) + "\n"
        for n in range(100_000)
    )
    path = write(tmp_path, "x.jsonl.gz", gzip.compress(lines.encode(), 1))
    found = load(path, columns={"messages": "messages"})
    assert len(found) == 100_000
    assert found[-1].expected_output == "99999"
