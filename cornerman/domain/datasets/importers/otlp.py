"""OpenTelemetry's JSON: spans and log records, with plain attributes, whatever wrote the file.

OTLP's own form, one document or one a line as collectors and exporters write it, and the spans
that the SDKs print.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from cornerman.domain.datasets.content import bad_file

_VALUES = ("stringValue", "boolValue", "doubleValue", "bytesValue")


@dataclass
class Entry:
    """A span with its events, or what a log record says of a span that is elsewhere.

    Args:
        events: Names with attributes and, under `body`, their body.
    """

    place: str
    key: tuple[str, str]
    name: str = ""
    attributes: dict[str, Any] = field(default_factory=dict[str, Any])
    events: list[tuple[str, dict[str, Any]]] = field(
        default_factory=list[tuple[str, dict[str, Any]]]
    )
    is_span: bool = True


def read_entries(name: str, text: str) -> list[Entry]:
    """Return a file's spans, each with the events and log records that belong to it.

    Raises:
        BadInputError: It holds something else than JSON documents of spans or log records.
    """
    found = dict[tuple[str, str], Entry]()
    for place, document in _documents(name, text):
        entries = list(_in_document(place, document))
        if not entries and not _is_empty(document):
            raise bad_file(
                f"{place} holds neither resourceSpans nor resourceLogs",
                "Export it as OTLP JSON, such as by the collector's file exporter.",
            )
        for entry in entries:
            known = found.setdefault(entry.key, entry)
            if known is not entry:
                _merge(known, entry)
    return list(found.values())


def _merge(known: Entry, entry: Entry) -> None:
    known.events += entry.events
    known.attributes |= entry.attributes
    known.is_span = known.is_span or entry.is_span
    known.name = known.name or entry.name


def _documents(name: str, text: str) -> Iterator[tuple[str, Any]]:
    """The JSON values that stand one after another, on one line each or on many."""
    decoder = json.JSONDecoder()
    at, size = 0, len(text)
    line, counted = 1, 0
    while True:
        while at < size and text[at] in " \t\r\n\x1e,":
            at += 1
        if at == size:
            return
        line += text.count("\n", counted, at)
        counted = at
        place = f"{name}, line {line}"
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise bad_file(f"{place} is not valid JSON: {error}") from error
        for one in cast("list[Any]", value) if isinstance(value, list) else [value]:
            yield place, one


def _is_empty(document: Any) -> bool:
    """Whether it says that there is nothing, or only figures, which are no calls."""
    if not isinstance(document, Mapping):
        return False
    fields = cast("Mapping[str, Any]", document)
    return any(
        isinstance(_of(fields, name), list)
        for name in ("resourceSpans", "resourceLogs", "resourceMetrics")
    )


def _in_document(place: str, document: Any) -> Iterator[Entry]:
    if not isinstance(document, Mapping):
        return
    fields = cast("Mapping[str, Any]", document)
    # Some backends wrap what they answer.
    for wrapper in ("data", "result", "trace"):
        if isinstance(fields.get(wrapper), Mapping):
            yield from _in_document(place, fields[wrapper])
    if isinstance(fields.get("context"), Mapping) and "attributes" in fields:
        yield _printed_span(place, fields)
        return
    for resource in _list(fields, "resourceSpans") + _list(fields, "batches"):
        for scope in _list(resource, "scopeSpans") + _list(resource, "instrumentationLibrarySpans"):
            for span in _list(scope, "spans"):
                yield _span(place, span)
    for resource in _list(fields, "resourceLogs"):
        for scope in _list(resource, "scopeLogs"):
            for number, record in enumerate(_list(scope, "logRecords")):
                yield _log(f"{place}, record {number}", record)


def _span(place: str, span: Mapping[str, Any]) -> Entry:
    name = str(span.get("name", ""))
    return Entry(
        f"{place}, span {name}",
        (str(_of(span, "traceId")), str(_of(span, "spanId"))),
        name,
        _attributes(span.get("attributes")),
        [
            (str(event.get("name", "")), _attributes(event.get("attributes")))
            for event in _list(span, "events")
        ],
    )


def _log(place: str, record: Mapping[str, Any]) -> Entry:
    attributes = _attributes(record.get("attributes"))
    name = _of(record, "eventName") or attributes.get("event.name") or ""
    body = _value(record.get("body"))
    trace, span = str(_of(record, "traceId") or ""), str(_of(record, "spanId") or "")
    # One without a span is alone; its place is its own.
    return Entry(
        place,
        (trace, span) if span else ("", place),
        events=[(str(name), attributes | {"body": body})],
        is_span=False,
    )


def _printed_span(place: str, span: Mapping[str, Any]) -> Entry:
    """A span as the SDK's console exporter prints it: attributes are a plain object."""
    context = cast("Mapping[str, Any]", span["context"])
    events = [
        (str(event.get("name", "")), dict(cast("Mapping[str, Any]", event.get("attributes") or {})))
        for event in _list(span, "events")
    ]
    attributes = span["attributes"]
    return Entry(
        f"{place}, span {span.get('name', '')}",
        (str(_of(context, "traceId")), str(_of(context, "spanId"))),
        str(span.get("name", "")),
        dict(cast("Mapping[str, Any]", attributes)) if isinstance(attributes, Mapping) else {},
        events,
    )


def _of(fields: Mapping[str, Any], name: str) -> Any:
    """A field by its JSON name, or by the protocol's own, such as `trace_id`."""
    if name in fields:
        return fields[name]
    snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
    return fields.get(snake)


def _list(fields: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    held = _of(fields, name)
    items = cast("list[Any]", held) if isinstance(held, list) else []
    return [cast("Mapping[str, Any]", item) for item in items if isinstance(item, Mapping)]


def _attributes(held: Any) -> dict[str, Any]:
    if isinstance(held, Mapping):
        return dict(cast("Mapping[str, Any]", held))
    pairs = cast("list[Any]", held) if isinstance(held, list) else []
    return {
        str(pair["key"]): _value(pair.get("value"))
        for pair in pairs
        if isinstance(pair, Mapping) and "key" in pair
    }


def _value(held: Any) -> Any:
    """An `AnyValue` as plain JSON."""
    if not isinstance(held, Mapping):
        return held
    fields = cast("Mapping[str, Any]", held)
    for name in _VALUES:
        if (found := _of(fields, name)) is not None:
            return found
    number = _of(fields, "intValue")
    if number is not None:
        return int(number) if str(number).lstrip("-").isdigit() else number
    if (array := _of(fields, "arrayValue")) is not None:
        return [_value(one) for one in _list_of(array)]
    if (pairs := _of(fields, "kvlistValue")) is not None:
        return _attributes(_list_of(pairs))
    return None if not fields else dict(fields)


def _list_of(held: Any) -> list[Any]:
    values = cast("Mapping[str, Any]", held).get("values") if isinstance(held, Mapping) else None
    return cast("list[Any]", values) if isinstance(values, list) else []
