"""What an agent of the user's own said in one turn, and which tools it called on the way.

Tool calls stand in many forms: OpenAI's chat and responses, Anthropic's messages, LangChain's
objects and tau-bench's transcripts. Whatever framework an agent is built with, the model calls
that it makes are in one of the first three; what it returns may be in any.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from cornerman.domain.battles import MOST_TOOL_CALLS, TOOL_CHARS, ToolCall
from cornerman.domain.errors import CornermanError
from cornerman.domain.json_values import is_message
from cornerman.domain.traces import CallTrace
from cornerman.domain.training.outputs import read_output

Json = Mapping[str, Any]


class BadReplyError(CornermanError):
    """What an agent returned in a battle is nothing that it could have said."""

    code = "bad_reply"


@dataclass(frozen=True)
class Reply:
    """One turn of an own agent. `tool_calls` is None where what it returned tells nothing of them.

    `text` is empty when it said nothing.
    """

    text: str
    tool_calls: tuple[ToolCall, ...] | None = None


def read_reply(returned: Any) -> Reply:
    """The turn in what an agent returned: a text, a message, or a state that ends with one.

    Raises:
        BadReplyError: It is none of these, or its last message waits for a tool's answer.
    """
    if isinstance(returned, str):
        return Reply(str.__str__(returned))
    messages = _messages_of(returned)
    if messages is None and not is_message(returned):
        kind = "None" if returned is None else f"{type(returned).__name__} {returned!r:.80}"
        raise BadReplyError(
            f"The agent returned {kind}; expected its next line: a text, a message, or a state "
            "whose `messages` end with one."
        )
    output = read_output(returned)
    last = _plain(messages[-1] if messages else returned)
    if _role(last) not in ("assistant", "ai"):
        raise BadReplyError(
            f"The agent's last message is of role {_role(last) or 'none'!r}; expected its own line."
        )
    text = output.value if isinstance(output.value, str) else ""
    if not text.strip() and (open_calls := _calls_in(last)):
        raise BadReplyError(
            f"The agent's last message calls {open_calls[0].name!r} and says nothing; it ended "
            "before the tool had answered."
        )
    told = None if messages is None else tool_calls_in(_since_last_user(messages))
    return Reply(text, told)


def tool_calls_in(messages: Iterable[Any]) -> tuple[ToolCall, ...]:
    """Every tool call of a conversation's messages, in order, with its result where one came."""
    made = _Calls()
    for message in messages:
        plain = _plain(message)
        for call in _calls_in(plain):
            made.add(call)
        for result in _results_in(plain):
            made.answer(result)
    return made.finished()


def tool_calls_of(calls: Sequence[CallTrace]) -> tuple[ToolCall, ...]:
    """The tool calls of a turn's model calls: asked for in one's answer, answered in the next."""
    made = _Calls()
    for call in calls:
        for message in call.messages:
            for result in _results_in(_plain(message)):
                made.answer(result)
        for asked in call.tool_calls:
            made.add(_Call(str(asked.get("id") or ""), str(asked["name"]), asked.get("arguments")))
    return made.finished()


# -- forms


@dataclass(frozen=True)
class _Call:
    id: str
    name: str
    arguments: Any


@dataclass(frozen=True)
class _Result:
    id: str
    name: str
    content: Any
    is_error: bool


class _Calls:
    """Calls in the order in which they were made; each is answered once."""

    def __init__(self) -> None:
        self._made: list[tuple[_Call, _Result | None]] = []

    def add(self, call: _Call) -> None:
        # Not by their ids, which some endpoints give to several calls.
        self._made.append((call, None))

    def answer(self, result: _Result) -> None:
        """By its id; in files that have none, the oldest open call of that name."""
        for place, (call, known) in enumerate(self._made):
            same = call.id == result.id if result.id else call.name == result.name
            if same and known is None:
                self._made[place] = (call, result)
                return

    def finished(self) -> tuple[ToolCall, ...]:
        return tuple(_tool_call(call, result) for call, result in self._made[:MOST_TOOL_CALLS])


def _tool_call(call: _Call, result: _Result | None) -> ToolCall:
    text = None if result is None else _clipped(_text(result.content))
    # Most tools say so in their answer alone, as those of LangGraph and tau-bench do.
    wrong = result is not None and (result.is_error or (text or "").lower().startswith("error:"))
    return ToolCall(
        name=call.name,
        arguments=_arguments(call.arguments),
        result=None if wrong else text,
        error=(text or "(it says nothing)") if wrong else None,
    )


def _arguments(given: Any) -> Any:
    """As a JSON value; text that is none stays as it is, and so does what is too long."""
    value = given
    if isinstance(given, str):
        try:
            value = json.loads(given) if given.strip() else {}
        except (ValueError, RecursionError):
            return _clipped(given)
    shown = json.dumps(value, ensure_ascii=False, default=str)
    return value if len(shown) <= TOOL_CHARS else _clipped(shown)


def _clipped(text: str) -> str:
    if len(text) <= TOOL_CHARS:
        return text
    return f"{text[:TOOL_CHARS]}… ({len(text) - TOOL_CHARS:,} characters more)"


def _text(content: Any) -> str:
    """A result's text; of content in parts, that of its parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = cast("list[Any]", content)
        texts = [part.get("text") for part in parts if isinstance(part, Mapping)]
        if texts and all(isinstance(text, str) for text in texts):
            return "".join(map(str, texts))
    return "" if content is None else json.dumps(content, ensure_ascii=False, default=str)


def _plain(message: Any) -> Json:
    """A message as a mapping; an object's parts by their names."""
    if isinstance(message, Mapping):
        return cast("Json", message)
    names = ("role", "type", "content", "name", "tool_calls", "tool_call_id", "status")
    return {name: getattr(message, name) for name in names if hasattr(message, name)}


def _role(message: Json) -> str:
    return str(message.get("role") or message.get("type") or "")


def _calls_in(message: Json) -> list[_Call]:
    if message.get("type") == "function_call":  # OpenAI's responses
        made, name = str(message.get("call_id") or ""), str(message.get("name") or "")
        return [_Call(made, name, message.get("arguments"))]
    found = list[_Call]()
    for call in _mappings(message.get("tool_calls")):
        function = call.get("function")
        if isinstance(function, Mapping):  # OpenAI's chat
            made = cast("Json", function)
            found.append(_named(call, made.get("name"), made.get("arguments")))
        else:  # LangChain
            found.append(_named(call, call.get("name"), call.get("args", call.get("arguments"))))
    found += [
        _named(part, part.get("name"), part.get("input"))
        for part in _mappings(message.get("content"))
        if part.get("type") == "tool_use"  # Anthropic
        and all(part.get("id") != call.id for call in found)
    ]
    return found


def _named(call: Json, name: Any, arguments: Any) -> _Call:
    return _Call(str(call.get("id") or ""), str(name or ""), arguments)


def _results_in(message: Json) -> list[_Result]:
    name = str(message.get("name") or "")
    if message.get("type") == "function_call_output":
        return [_Result(str(message.get("call_id") or ""), name, message.get("output"), False)]
    if _role(message) == "tool":
        wrong = message.get("status") == "error"
        asked = str(message.get("tool_call_id") or "")
        return [_Result(asked, name, message.get("content"), wrong)]
    return [
        _Result(
            str(part.get("tool_use_id") or ""), "", part.get("content"), bool(part.get("is_error"))
        )
        for part in _mappings(message.get("content"))
        if part.get("type") == "tool_result"
    ]


def _mappings(value: Any) -> list[Json]:
    if not isinstance(value, (list, tuple)):
        return []
    items = cast("Sequence[Any]", value)
    return [cast("Json", item) for item in items if isinstance(item, Mapping)]


def _messages_of(returned: Any) -> Sequence[Any] | None:
    held = cast("Any", returned).get("messages") if isinstance(returned, Mapping) else None
    if isinstance(held, (list, tuple)) and held and is_message(held[-1]):
        return cast("Sequence[Any]", held)
    return None


def _since_last_user(messages: Sequence[Any]) -> Sequence[Any]:
    """What came of the last thing that the agent was told."""
    for place in range(len(messages) - 1, -1, -1):
        if _role(_plain(messages[place])) in ("user", "human"):
            return messages[place + 1 :]
    return messages
