"""Langfuse's exports: traces and observations as JSON, JSONL and CSV, dataset items, API answers.

A trace is downloaded as `{"trace", "observations", "scores"}`, listed as `{"data", "meta"}`; tables
and blob storage have one row a trace, observation or item, with keys in camel or in snake case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from cornerman.domain.datasets.content import ending_of, loads, read_text
from cornerman.domain.datasets.files import read_records
from cornerman.domain.datasets.importers.forms import answer_in, inputs_of, parsed, talk_in
from cornerman.domain.datasets.importers.made import Made

ENDINGS = (".json", ".jsonl", ".ndjson", ".csv")

Row = Mapping[str, Any]


def import_langfuse(path: Path) -> Made:
    """Make a case of each trace, model call or dataset item.

    Of observations the generations count where there are any, else those without a parent. A
    correction that a person left is the expected output in place of the output.

    Raises:
        BadInputError: The file cannot be read.
    """
    made = Made()
    rows = _rows(path)
    observations = [row for _, row in rows if _is_observation(row)]
    generations = any(row.get("type") == "GENERATION" for row in observations)
    for place, row in rows:
        _add(made, place, row, generations)
    return made


def _rows(path: Path) -> list[tuple[str, Row]]:
    if ending_of(path)[0] != ".json":
        return [(record.place, record.values) for record in read_records(path)]
    document = loads(read_text(path), path.name)
    held: list[Any] = cast("list[Any]", document) if isinstance(document, list) else [document]
    return [
        (place, cast("Row", row) if isinstance(row, Mapping) else {"": row})
        for number, one in enumerate(held)
        for place, row in _in_document(f"{path.name}, record {number}", one)
    ]


def _in_document(place: str, one: Any) -> list[tuple[str, Any]]:
    """The rows that an object holds: a page of a list, a downloaded trace, or itself."""
    if not isinstance(one, Mapping):
        return [(place, one)]
    fields = cast("Row", one)
    if isinstance(fields.get("data"), list):
        return [(f"{place}, data {n}", row) for n, row in enumerate(fields["data"])]
    observations = fields.get("observations")
    if not (isinstance(observations, list) and observations and isinstance(observations[0], dict)):
        return [(place, one)]
    corrected = _corrections(fields.get("scores"))
    rows = [
        (f"{place}, observation {n}", _corrected(row, corrected))
        for n, row in enumerate(cast("list[Any]", observations))
    ]
    trace = fields.get("trace", fields)
    if isinstance(trace, Mapping) and trace.get("input") is not None and not _calls(rows):
        return [(f"{place}, trace", _corrected(cast("Row", trace), corrected))]
    return rows


def _calls(rows: Sequence[tuple[str, Any]]) -> bool:
    return any(isinstance(row, Mapping) and row.get("type") == "GENERATION" for _, row in rows)


def _corrections(scores: Any) -> dict[str, str]:
    """What people wrote in place of an output, by the id of its observation or trace."""
    found = dict[str, str]()
    for score in cast("list[Any]", scores) if isinstance(scores, list) else []:
        if isinstance(score, Mapping) and score.get("dataType") == "CORRECTION":
            subject = score.get("observationId") or score.get("traceId")
            if isinstance(subject, str) and score.get("stringValue"):
                found[subject] = str(score["stringValue"])
    return found


def _corrected(row: Any, corrected: Mapping[str, str]) -> Any:
    if not isinstance(row, Mapping) or row.get("id") not in corrected:
        return row
    return {**row, "correction": corrected[row["id"]]}


def _is_observation(row: Row) -> bool:
    return "type" in row and _of(row, "traceId", "trace_id") is not None


def _of(row: Row, *names: str) -> Any:
    return next((row[name] for name in names if row.get(name) not in (None, "")), None)


def _add(made: Made, place: str, row: Row, generations: bool) -> None:
    is_item = _of(row, "datasetId", "dataset_id", "datasetName") is not None or (
        "expectedOutput" in row or "expected_output" in row
    )
    if "input" not in row and not is_item:
        return made.skip("no trace, observation or dataset item", place)
    if _is_observation(row):
        unwanted = row.get("type") != "GENERATION"
        if generations and unwanted:
            return made.skip("an observation that is no generation", place)
        if not generations and _of(row, "parentObservationId", "parent_observation_id"):
            return made.skip("an observation inside another", place)
    if is_item and str(row.get("status", "")).upper() == "ARCHIVED":
        return made.skip("an archived dataset item", place)
    asked = parsed(row.get("input"))
    if asked in (None, "", [], {}):
        return made.skip("no input", place)
    expected = _expected(row, is_item)
    if expected is None and not is_item:
        return made.skip("no output", place)
    metadata = _metadata(row)
    given_id = row.get("id")
    talk = talk_in(asked)
    if talk is None:
        return made.add(place, inputs_of(asked), expected, given_id=given_id, metadata=metadata)
    return made.add_talk(place, talk, expected=expected, given_id=given_id, metadata=metadata)


def _expected(row: Row, is_item: bool) -> Any:
    if row.get("correction"):
        return parsed(row["correction"])
    names = ("expectedOutput", "expected_output") if is_item else ("output",)
    return answer_in(parsed(_of(row, *names)))


def _metadata(row: Row) -> dict[str, Any]:
    found = parsed(row.get("metadata"))
    kept = dict(cast("Row", found)) if isinstance(found, Mapping) else dict[str, Any]()
    if row.get("correction"):
        kept["corrected_from"] = answer_in(parsed(row.get("output")))
    for name, names in _KEPT.items():
        value = parsed(_of(row, *names))
        # An expected answer's own keys win: they are the user's.
        if value not in (None, "", [], {}):
            kept.setdefault(name, value)
    return kept


_KEPT = {
    "trace_id": ("traceId", "trace_id", "sourceTraceId"),
    "name": ("name", "traceName"),
    "model": ("model", "providedModelName", "provided_model_name"),
    "scores": ("scores",),
    "tags": ("tags", "traceTags"),
    "level": ("level",),
}
