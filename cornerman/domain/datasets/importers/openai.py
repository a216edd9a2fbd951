"""OpenAI's chat fine-tuning files: one `{"messages", "tools"}` a line.

Those for preferences (`input`, `preferred_output`) too, whose preferred output is the expected
one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from cornerman.domain.datasets.chat import ChatFormError, messages_of, split_talk
from cornerman.domain.datasets.files import read_records
from cornerman.domain.datasets.importers.made import Made

ENDINGS = (".jsonl", ".ndjson", ".json")


def import_openai(path: Path) -> Made:
    """Make a case of each conversation; its last answer is the expected output.

    Raises:
        BadInputError: The file cannot be read.
    """
    made = Made()
    for record in read_records(path):
        try:
            _add(made, record.place, record.values)
        except ChatFormError as error:
            made.skip(error, record.place)
    return made


def _add(made: Made, place: str, values: Mapping[str, Any]) -> None:
    held = values.get("input")
    asked = cast("Mapping[str, Any]", held) if isinstance(held, Mapping) else values
    if "messages" not in asked:
        raise ChatFormError("has no messages", "no messages")
    messages = messages_of(asked["messages"])
    if "preferred_output" in values:
        messages = [*messages, *messages_of(values["preferred_output"])]
    talk = split_talk(messages)
    metadata = {"tools": asked.get("tools") or asked.get("functions")}
    if isinstance(values.get("metadata"), Mapping):
        metadata |= dict(cast("Mapping[str, Any]", values["metadata"]))
    made.add_talk(place, talk, metadata=metadata)
