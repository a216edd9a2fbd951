"""Reading personas from files: JSONL, CSV and sotopia's profiles.

Rows are validated one by one, and an error names the file, the line and the field.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import ValidationError

from cornerman.domain.errors import BadInputError
from cornerman.domain.personas import Persona, PersonaSource, persona_id, same_persona
from cornerman.domain.personas.sotopia import is_sotopia_profile, sotopia_personas

PersonaFormat = Literal["jsonl", "csv", "sotopia"]
Row = Mapping[str, Any]

_LISTS = ("characteristics", "attack_patterns")
_NEEDED = "name and system_prompt"
# What `personas list` and older tables call the same things.
_OTHER_NAMES = {"type": "persona_type", "is_active": "active"}
# Folder mates of sotopia's agent_profiles.jsonl, under the names of its own export.
_SOTOPIA_ENVIRONMENTS = "environment_profiles.jsonl"
_SOTOPIA_COMBOS = "env_agent_combo_storages.jsonl"


def parse_personas_file(path: Path, workflow_id: str = "negotiation") -> list[Persona]:
    """Read the personas of a file; its format is told by its keys or columns.

    Of sotopia's profiles, the scenarios and pairings are read too when they lie beside them.

    Raises:
        BadInputError: The file cannot be read, or a line is no persona.
    """
    environments = path.parent / _SOTOPIA_ENVIRONMENTS
    combos = path.parent / _SOTOPIA_COMBOS
    return parse_personas(
        _read(path),
        name=str(path),
        workflow_id=workflow_id,
        environments=_read(environments) if environments.is_file() else None,
        combos=_read(combos) if combos.is_file() else None,
    )


def parse_personas(
    text: str,
    *,
    name: str = "personas",
    format: PersonaFormat | None = None,
    workflow_id: str = "negotiation",
    source: PersonaSource = "import",
    environments: str | None = None,
    combos: str | None = None,
) -> list[Persona]:
    """Read personas from a file's text.

    Args:
        name: What errors call the file.
        format: None to tell it by the keys or columns.
        workflow_id: For rows that name no workflow.
        environments: Text of sotopia's environment profiles, for sotopia's format.
        combos: Text of sotopia's pairings, for sotopia's format.

    Raises:
        BadInputError: A line is no persona, two are the same, or there is none.
    """
    rows = _csv_rows(text, name) if _is_csv(text, format) else json_rows(text, name)
    if not rows:
        raise BadInputError(f"{name} has no persona: expected one row for each.", field="file")
    if format == "sotopia" or (format is None and is_sotopia_profile(rows[0][1])):
        personas = sotopia_personas(
            rows,
            name=name,
            workflow_id=workflow_id,
            environments=json_rows(environments or "", _SOTOPIA_ENVIRONMENTS),
            combos=json_rows(combos or "", _SOTOPIA_COMBOS),
        )
        lines = [line for line, _ in rows]
    else:
        lines = [line for line, _ in rows]
        personas = [
            _persona(row, f"{name}, line {line}", workflow_id, source) for line, row in rows
        ]
    _refuse_duplicates(name, list(zip(lines, personas, strict=True)))
    return personas


def import_personas(
    rows: Iterable[Row], *, workflow_id: str = "negotiation", source: PersonaSource = "import"
) -> list[Persona]:
    """Make personas of rows that were read already, such as those a model generated.

    Two of them may be the same; see `without_known`.

    Raises:
        BadInputError: A row is no persona.
    """
    return [_persona(r, f"row {n}", workflow_id, source) for n, r in enumerate(rows, start=1)]


def without_known(personas: Iterable[Persona], known: Iterable[Persona]) -> list[Persona]:
    """The personas that are neither in `known` nor earlier in the list, by id, name or prompt."""
    held, fresh = list(known), list[Persona]()
    for persona in personas:
        if not any(same_persona(persona, other) for other in held):
            held.append(persona)
            fresh.append(persona)
    return fresh


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(
            f"Expected a persona file in UTF-8 at {str(path)!r}: {error}",
            field="file",
            hint="Give a JSONL or CSV file, or sotopia's agent_profiles.jsonl.",
        ) from error


def _is_csv(text: str, format: PersonaFormat | None) -> bool:
    return format == "csv" or (format is None and text.lstrip()[:1] not in ("{", "[", ""))


def json_rows(text: str, name: str) -> list[tuple[int, Row]]:
    """The objects of a JSONL text, or of one JSON array, with their line or place from 1."""
    if text.lstrip().startswith("["):
        items = list(enumerate(cast("list[object]", _json(text, name)), start=1))
    else:
        # Not splitlines: a line separator within a JSON string ends no line.
        lines = enumerate(text.split("\n"), start=1)
        items = [(n, _json(line, f"{name}, line {n}")) for n, line in lines if line.strip()]
    for line, item in items:
        if not isinstance(item, dict):
            raise BadInputError(
                f"{name}, line {line}: expected a JSON object, but {item!r:.80} came.",
                field=f"line {line}",
            )
    return cast("list[tuple[int, Row]]", items)


def _json(text: str, where: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"{where}: not JSON: {error}", field="file") from error


def _csv_rows(text: str, name: str) -> list[tuple[int, Row]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    rows: list[tuple[int, Row]] = []
    try:
        for row in reader:
            cells = cast("dict[str | None, Any]", row)
            if None in cells:
                raise BadInputError(
                    f"{name}, line {reader.line_num}: more cells than the header has columns.",
                    field=f"line {reader.line_num}",
                )
            rows.append((reader.line_num, {k: v for k, v in row.items() if v not in (None, "")}))
    except csv.Error as error:
        raise BadInputError(
            f"{name}, line {reader.line_num}: not CSV: {error}", field="file"
        ) from error
    return rows


def _persona(row: Row, where: str, workflow_id: str, source: PersonaSource) -> Persona:
    named = {_OTHER_NAMES.get(key, key): value for key, value in row.items()}
    data = {"workflow_id": workflow_id, **named, "source": source}
    for key in _LISTS:
        data[key] = _strings(data.get(key))
    for key in ("scenario", "metadata"):
        if isinstance(data.get(key), str):
            data[key] = _json(str(data[key]), f"{where}: {key}")
    if not data.get("id") and isinstance(data.get("name"), str) and data["name"].strip():
        data["id"] = persona_id(str(data["workflow_id"]), str(data["name"]))
    try:
        return Persona.model_validate(data)
    except ValidationError as error:
        raise _refused(error, where) from error


def _strings(value: object) -> object:
    """A CSV cell holds a list as JSON or with semicolons between its items."""
    if value is None:
        return []
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return [part.strip() for part in value.split(";") if part.strip()]


def _refused(error: ValidationError, where: str) -> BadInputError:
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"]) or "row"
    came = "" if first["type"] == "missing" else f", but {first['input']!r:.80} came"
    # The id is made of the name, so a row without a name lacks a name.
    path = "name" if path == "id" and first["type"] == "missing" else path
    return BadInputError(
        f"{where}: {path}: {first['msg']}{came}.",
        field=path,
        hint=f"Each persona needs {_NEEDED}; see `cornerman personas list --json` for the form.",
    )


def _refuse_duplicates(name: str, personas: list[tuple[int, Persona]]) -> None:
    seen: dict[str, int] = {}
    for line, persona in personas:
        if persona.id in seen:
            raise BadInputError(
                f"{name}, line {line}: id: {persona.id!r} is the persona of line "
                f"{seen[persona.id]} too; ids and names must be unique.",
                field="id",
            )
        seen[persona.id] = line
