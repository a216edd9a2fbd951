"""Cases of Langfuse's exports, in the shapes that its exporters and its API write."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from cornerman.domain.datasets.importers import import_file
from cornerman.domain.datasets.importers.made import Made

HI = {"role": "user", "content": "Hi"}
HELLO = {"role": "assistant", "content": "Hello"}


def imported(folder: Path, name: str, text: str) -> Made:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return import_file(path, "langfuse")


def trace(number: int, asked: Any, answered: Any, **more: Any) -> dict[str, Any]:
    """A row of the traces table; inputs and outputs stand in it as they were sent."""
    return {
        "id": f"t{number}",
        "timestamp": "2026-08-01T10:00:00.000Z",
        "name": "support",
        "userId": None,
        "sessionId": None,
        "release": None,
        "version": None,
        "environment": "production",
        "tags": ["live"],
        "bookmarked": False,
        "public": False,
        "input": asked,
        "output": answered,
        "metadata": {"plan": "pro"},
        "quality": [0.5],
        "comments": [],
    } | more


def observation(number: int, kind: str, asked: Any, answered: Any, **more: Any) -> dict[str, Any]:
    return {
        "id": f"o{number}",
        "traceId": "t1",
        "type": kind,
        "environment": "production",
        "parentObservationId": None,
        "startTime": "2026-08-01T10:00:00.000Z",
        "name": "chat",
        "metadata": {},
        "level": "DEFAULT",
        "model": "gpt-4o-mini",
        "input": asked,
        "output": answered,
    } | more


def table(rows: list[dict[str, Any]]) -> str:
    """As its CSV: every field in quotes, texts as they are, all else as JSON."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(rows[0])
    for row in rows:
        cells = ("" if cell is None else cell for cell in row.values())
        writer.writerow([c if isinstance(c, str) else json.dumps(c) for c in cells])
    return out.getvalue()


TRACES = [
    trace(1, json.dumps([HI]), json.dumps(HELLO)),
    trace(2, "Where is it?", "On its way."),
    trace(3, json.dumps({"question": "5?", "lang": "en"}), json.dumps({"answer": 5})),
    trace(4, "Nobody answered", None),
    trace(5, None, "Nobody asked"),
]
EXPECTED = [
    ({"messages": [HI]}, "Hello"),
    ({"input": "Where is it?"}, "On its way."),
    ({"question": "5?", "lang": "en"}, {"answer": 5}),
]


def pairs(made: Made) -> list[tuple[Any, Any]]:
    return [(case["inputs"], case["expected_output"]) for case in made.cases]


def test_traces_are_cases_in_each_form(tmp_path: Path) -> None:
    jsonl = "".join(json.dumps(row) + "\n" for row in TRACES)
    page = json.dumps({"data": TRACES, "meta": {"page": 1}})
    forms = {"a.json": json.dumps(TRACES), "b.jsonl": jsonl, "c.csv": table(TRACES), "d.json": page}
    for name, text in forms.items():
        made = imported(tmp_path, name, text)
        assert pairs(made) == EXPECTED, name
        assert dict(made.skipped) == {"no output": 1, "no input": 1}, name
        assert [case["id"] for case in made.cases] == ["t1", "t2", "t3"], name
        kept = made.cases[0]["metadata"]
        assert (kept["plan"], kept["name"], kept["tags"]) == ("pro", "support", ["live"]), name


def test_generations_are_cases_and_other_observations_are_counted(tmp_path: Path) -> None:
    rows = [
        observation(1, "SPAN", {"q": 1}, "x"),
        observation(
            2, "GENERATION", {"messages": [HI], "model": "m"}, {"choices": [{"message": HELLO}]}
        ),
        observation(
            3,
            "GENERATION",
            [HI],
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "look", "arguments": '{"n": 1}'},
                    }
                ],
            },
        ),
        observation(4, "EVENT", None, None),
    ]
    made = imported(tmp_path, "x.json", json.dumps(rows))
    called = {"content": None, "tool_calls": [{"name": "look", "arguments": {"n": 1}}]}
    assert pairs(made) == [({"messages": [HI]}, "Hello"), ({"messages": [HI]}, called)]
    assert dict(made.skipped) == {"an observation that is no generation": 2}
    assert made.cases[0]["metadata"]["model"] == "gpt-4o-mini"


def test_without_generations_the_outermost_observations_are_cases(tmp_path: Path) -> None:
    rows = [
        observation(1, "SPAN", {"q": 1}, "x"),
        observation(2, "SPAN", {"q": 2}, "y", parentObservationId="o1"),
    ]
    made = imported(tmp_path, "x.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert pairs(made) == [({"q": 1}, "x")]
    assert dict(made.skipped) == {"an observation inside another": 1}


def test_a_downloaded_trace_with_a_persons_correction(tmp_path: Path) -> None:
    document = {
        "observations": [observation(1, "GENERATION", [HI], HELLO)],
        "scores": [
            {
                "id": "s",
                "traceId": "t1",
                "observationId": "o1",
                "name": "output",
                "dataType": "CORRECTION",
                "stringValue": "Good morning!",
            },
            {"id": "s2", "traceId": "t1", "observationId": "o1", "dataType": "NUMERIC", "value": 1},
        ],
    }
    made = imported(tmp_path, "trace.json", json.dumps(document))
    assert pairs(made) == [({"messages": [HI]}, "Good morning!")]
    assert made.cases[0]["metadata"]["corrected_from"] == "Hello"


def test_an_older_trace_without_model_calls_is_its_own_case(tmp_path: Path) -> None:
    document = {
        "trace": trace(1, {"q": 1}, "x"),
        "observations": [observation(1, "SPAN", {"inner": 1}, "y")],
        "scores": [],
    }
    assert pairs(imported(tmp_path, "trace.json", json.dumps(document))) == [({"q": 1}, "x")]


def test_dataset_items_bring_their_expected_output(tmp_path: Path) -> None:
    def item(number: int, **more: Any) -> dict[str, Any]:
        return {
            "id": f"i{number}",
            "status": "ACTIVE",
            "input": {"question": f"{number}?"},
            "expectedOutput": str(number),
            "metadata": None,
            "sourceTraceId": "t1",
            "datasetId": "d",
            "datasetName": "golden",
        } | more

    rows = [item(1), item(2, expectedOutput=None), item(3, status="ARCHIVED")]
    for name, text in {"x.json": json.dumps(rows), "x.csv": table(rows)}.items():
        made = imported(tmp_path, name, text)
        assert pairs(made) == [({"question": "1?"}, "1"), ({"question": "2?"}, None)]
        assert dict(made.skipped) == {"an archived dataset item": 1}
        assert made.cases[0]["metadata"] == {"trace_id": "t1"}


def test_blob_storage_has_the_same_in_snake_case(tmp_path: Path) -> None:
    row = {
        "id": "o1",
        "trace_id": "t1",
        "type": "GENERATION",
        "input": json.dumps([HI]),
        "output": "Hello",
        "provided_model_name": "m",
        "metadata": {},
    }
    made = imported(tmp_path, "x.jsonl", json.dumps(row))
    assert pairs(made) == [({"messages": [HI]}, "Hello")]
    assert made.cases[0]["metadata"] == {"trace_id": "t1", "model": "m"}


def test_rows_of_something_else_are_counted(tmp_path: Path) -> None:
    rows = [trace(1, "a", "b"), {"id": "s", "name": "score", "value": 1}, 7]
    made = imported(tmp_path, "x.json", json.dumps(rows))
    assert len(made.cases) == 1
    assert dict(made.skipped) == {"no trace, observation or dataset item": 2}
