"""What one model call said: the record that is kept beside its line in the ledger."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

from cornerman.domain.money.ledger import CallScope, Role
from cornerman.domain.secrets import redact_json

RecordCalls = Literal["full", "usage"]

# Of one call's record as JSON, in characters. Longer texts in it are cut, the longest first.
MOST_CHARACTERS = 256 * 1024
_CUTS = (32_000, 8_000, 2_000, 400, 80)
# Pictures and sounds inside a message: their bytes tell a reader nothing.
_DATA_URL = re.compile(r"^data:[\w/+.-]+;base64,")
_DATA_SHOWN = 48
_PLACE = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}")


@dataclass(frozen=True)
class CallTrace:
    """What a call asked and what came back; its tokens, cost and time are in the ledger.

    Args:
        prompts: Names of the candidate's prompts whose text was in it.
        messages: As the endpoint got them, in its own dialect's form.
        tools: What the model could call, in the dialect's form.
        response: The model's message, or the whole answer where it is no message.
        tool_calls: `{"id", "name", "arguments"}`; arguments are a JSON value where they are one.
        note: What is to be known of how the call was made, such as that it was replayed.
        shared: How many of the messages before `messages` are those of the subject's call before.
    """

    role: Role
    model: str
    prompts: tuple[str, ...] = ()
    messages: Sequence[Any] = ()
    tools: Sequence[Any] = ()
    response: Any = None
    tool_calls: Sequence[Mapping[str, Any]] = ()
    note: str = ""
    shared: int = 0

    def content(self) -> dict[str, Any]:
        """As it is stored: without secrets, and within `MOST_CHARACTERS`."""
        return bounded(
            redact_json(
                {
                    "prompts": list(self.prompts),
                    "messages": list(self.messages),
                    "tools": list(self.tools),
                    "response": self.response,
                    "tool_calls": [dict(call) for call in self.tool_calls],
                    "note": self.note,
                    "shared": self.shared,
                }
            )
        )


@dataclass(frozen=True)
class Replay:
    """An answer that can be given again to the same request.

    Args:
        digest: Of the request; see `digest_of`.
        content_type: Of the answer.
        body: The answer, as text.
    """

    digest: str
    content_type: str
    body: str


class ReplayQueue:
    """What an interrupted case was answered, in order; each answer is given once."""

    def __init__(self, stored: Sequence[Replay] = ()) -> None:
        self._stored = deque(stored)
        self.note = ""

    @property
    def is_empty(self) -> bool:
        """Whether every answer was given, or none was kept."""
        return not self._stored

    def take(self, digest: str) -> Replay | None:
        """The answer to a request, and None for one that was not made before.

        Such a request ends the replay: what follows may depend on what it is answered.
        """
        for stored in self._stored:
            if stored.digest == digest:
                self._stored.remove(stored)
                return stored
        if self._stored:
            left = len(self._stored)
            self.note = f"The replay ended here: the request differs; {left} were left."
            self._stored.clear()
        return None

    def take_note(self) -> str:
        """What is to be noted with the next call."""
        note, self.note = self.note, ""
        return note


_replaying: ContextVar[ReplayQueue | None] = ContextVar("replaying", default=None)


@contextlib.contextmanager
def replaying(queue: ReplayQueue) -> Generator[None]:
    """Have the calls that are made inside answered by the queue, as far as it goes."""
    token = _replaying.set(queue)
    try:
        yield
    finally:
        _replaying.reset(token)


def replay_here() -> ReplayQueue | None:
    """The queue of the case that is being run; None outside of cases."""
    return _replaying.get()


def digest_of(path: str, body: Mapping[str, Any]) -> str:
    """Names a request by where it goes and what it asks."""
    canonical = json.dumps([path, body], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Recorded:
    """What is stored of a call in the transaction that settles it."""

    scope: CallScope
    trace: CallTrace
    replay: Replay | None = None


# Takes the session of the transaction, the call's id in the ledger, and what to keep.
Recorder = Callable[[Any, str, Recorded], None]


@dataclass
class PromptFinder:
    """Tells which of a candidate's prompts are in a text."""

    prompts: Mapping[str, str]
    _pieces: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    def __post_init__(self) -> None:
        for name, text in self.prompts.items():
            pieces = [piece.strip() for piece in _PLACE.split(text)]
            self._pieces[name] = [piece for piece in pieces if piece]

    def names_in(self, messages: Sequence[Any]) -> tuple[str, ...]:
        """Names of the prompts all of whose fixed text is in the messages, in order."""
        if not self._pieces:
            return ()
        texts = "\n".join(texts_in(messages))
        return tuple(
            name for name, pieces in self._pieces.items() if pieces and _holds(texts, pieces)
        )


def _holds(text: str, pieces: Sequence[str]) -> bool:
    at = 0
    for piece in pieces:
        at = text.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return True


def texts_in(value: Any) -> list[str]:
    """Every text in a JSON value, in order."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for held in value.values() for text in texts_in(held)]
    if isinstance(value, (list, tuple)):
        return [text for held in value for text in texts_in(held)]
    return []


def bounded(content: dict[str, Any], most: int = MOST_CHARACTERS) -> dict[str, Any]:
    """The content with pictures and sounds cut, and with longer texts cut until it fits."""
    content = _cut(content, None)
    for limit in _CUTS:
        if len(json.dumps(content, ensure_ascii=False)) <= most:
            return content
        content = _cut(content, limit)
    if len(json.dumps(content, ensure_ascii=False)) > most:
        # Very many short texts: what came last says most.
        content = {**content, "messages": list(content["messages"])[-20:], "tools": []}
        content["note"] = "Cut: too many messages to keep."
    return content


def _cut(value: Any, limit: int | None) -> Any:
    if isinstance(value, str):
        match = _DATA_URL.match(value)
        if match is not None and len(value) > match.end() + _DATA_SHOWN:
            return _shortened(value, match.end() + _DATA_SHOWN)
        return value if limit is None or len(value) <= limit else _shortened(value, limit)
    if isinstance(value, dict):
        return {key: _cut(held, limit) for key, held in value.items()}
    if isinstance(value, list):
        return [_cut(held, limit) for held in value]
    return value


def _shortened(text: str, limit: int) -> str:
    return f"{text[:limit]}… ({len(text) - limit:,} characters more)"
