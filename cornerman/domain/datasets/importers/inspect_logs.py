"""Inspect's evaluation logs: `.json`, and `.eval`, a ZIP of one JSON file a sample."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from cornerman.domain.datasets.chat import ChatFormError, messages_of, whole_talk
from cornerman.domain.datasets.content import (
    MOST_UNPACKED_BYTES,
    bad_file,
    ending_of,
    loads,
    read_bytes,
    read_text,
)
from cornerman.domain.datasets.importers.made import Made
from cornerman.domain.texts import counted

ENDINGS = (".eval", ".json")

_ATTACHED = "attachment://"
_USED = ("id", "input", "choices", "target", "metadata", "scores", "error")
# How newer versions of Inspect compress, which Python reads by itself from 3.14 on.
_ZSTANDARD = 93


def import_inspect(path: Path) -> Made:
    """Make a case of each sample: its input, its target as expected output, its scores.

    Samples of several epochs are one case, with the scores of the first.

    Raises:
        BadInputError: The file is no such log, or unpacks to too much.
    """
    made = Made()
    samples = _from_archive(path) if ending_of(path)[0] == ".eval" else _from_json(path)
    seen = set[str]()
    without = 0
    for place, sample in samples:
        key = json.dumps([sample.get("id"), sample.get("input")], default=str)
        if key in seen:
            made.skip("the same sample in another epoch", place)
            continue
        seen.add(key)
        before = len(made.cases)
        _add(made, place, sample)
        without += len(made.cases) > before and made.cases[-1]["expected_output"] is None
    if without:
        made.notes.append(f"no expected output in {counted(without, 'case')}: there was no target")
    several = sum(isinstance(case["expected_output"], list) for case in made.cases)
    if several:
        made.notes.append(
            f"several targets in {counted(several, 'case')}, any of which is right, as a list; "
            "exact_match compares with the whole list"
        )
    return made


def _from_json(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    document = loads(read_text(path), path.name)
    if not isinstance(document, Mapping) or "eval" not in document:
        raise bad_file(f"{path.name} is no log of Inspect: it is no object with `eval`")
    samples = cast("Mapping[str, Any]", document).get("samples")
    for number, sample in enumerate(samples if isinstance(samples, list) else []):
        if isinstance(sample, Mapping):
            yield f"{path.name}, sample {number}", cast("Mapping[str, Any]", sample)


def _from_archive(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    content = io.BytesIO(read_bytes(path))
    try:
        archive = zipfile.ZipFile(content)
        held = archive.infolist()
        if any(info.compress_type == _ZSTANDARD for info in held):
            archive = _zstandard_archive(path.name, content)
    except (zipfile.BadZipFile, OSError) as error:
        raise bad_file(f"{path.name} is no log of Inspect: {error}") from error
    taken = 0
    for info in held:
        if not (info.filename.startswith("samples/") and info.filename.endswith(".json")):
            continue
        place = f"{path.name}, {info.filename}"
        text, size = _member(archive, info.filename, place, MOST_UNPACKED_BYTES - taken)
        taken += size
        sample = loads(text, place)
        if isinstance(sample, Mapping):
            yield place, cast("Mapping[str, Any]", sample)


def _zstandard_archive(name: str, content: io.BytesIO) -> zipfile.ZipFile:
    try:
        from backports.zstd import zipfile as zstandard_zipfile
    except ImportError as error:
        try:
            import compression.zstd  # noqa: F401  # pyright: ignore
        except ImportError:
            raise bad_file(
                f"{name} is compressed by Zstandard, for which a package is needed that is not "
                "installed",
                "Type: pip install 'cornerman[inspect]', or: inspect log convert --to json",
            ) from error
        return zipfile.ZipFile(content)
    return cast("zipfile.ZipFile", zstandard_zipfile.ZipFile(content))


def _member(archive: zipfile.ZipFile, name: str, place: str, most_bytes: int) -> tuple[str, int]:
    """One file of the archive, of which never more than the limit is unpacked."""
    try:
        with archive.open(name) as file:
            content = file.read(most_bytes + 1)
    except Exception as error:  # its decompressors have errors of their own
        raise bad_file(f"{place} cannot be unpacked: {error}") from error
    if len(content) > most_bytes:
        raise bad_file(f"{place}: the log unpacks to more than {MOST_UNPACKED_BYTES:,} bytes")
    return content.decode("utf-8", "replace"), len(content)


def _add(made: Made, place: str, sample: Mapping[str, Any]) -> None:
    attachments = cast("dict[str, str]", sample.get("attachments") or {})
    sample = {name: _attached(sample.get(name), attachments) for name in _USED}
    asked, choices = sample.get("input"), sample.get("choices")
    extra = {"choices": choices} if choices else {}
    given, metadata, target = sample.get("id"), _metadata(sample), _target(sample)
    if isinstance(asked, str) and asked:
        inputs = {"input": asked, **extra}
        return made.add(place, inputs, target, given_id=given, metadata=metadata)
    try:
        talk = whole_talk(messages_of(asked))
    except ChatFormError as error:
        return made.skip("no input" if not asked else error, place)
    if not talk.messages:
        return made.skip("no input", place)
    inputs = {"messages": talk.messages, **extra}
    return made.add(place, inputs, target, given_id=given, metadata=metadata, system=talk.system)


def _attached(value: Any, attachments: Mapping[str, str]) -> Any:
    """A value with its long texts, which logs keep once and refer to, in their places."""
    if isinstance(value, str) and value.startswith(_ATTACHED):
        return attachments.get(value.removeprefix(_ATTACHED), value)
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        return {key: _attached(held, attachments) for key, held in fields.items()}
    if isinstance(value, list):
        return [_attached(held, attachments) for held in cast("list[Any]", value)]
    return value


def _target(sample: Mapping[str, Any]) -> Any:
    """One target as a text; several, any of which is right, as a list."""
    target = sample.get("target")
    if isinstance(target, list):
        texts = [text for text in cast("list[Any]", target) if text != ""]
        return texts[0] if len(texts) == 1 else texts or None
    return target if target != "" else None


def _metadata(sample: Mapping[str, Any]) -> dict[str, Any]:
    own = sample.get("metadata")
    kept = dict(cast("Mapping[str, Any]", own)) if isinstance(own, Mapping) else {}
    scores = sample.get("scores")
    if isinstance(scores, Mapping):
        values = {
            name: score.get("value") if isinstance(score, Mapping) else score
            for name, score in cast("Mapping[str, Any]", scores).items()
        }
        kept.setdefault("scores", values)
    error = sample.get("error")
    if isinstance(error, Mapping):
        kept.setdefault("error", str(error.get("message", ""))[:500])
    return kept
