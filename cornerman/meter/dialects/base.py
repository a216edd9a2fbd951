"""What a dialect has to say for itself, and what several of them share."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

from cornerman.clients.chat_answer import Usage, token_count

Provider = Literal["openai", "anthropic"]
Json = dict[str, Any]

# What chat templates add to a message or a call.
_TOKENS_PER_MESSAGE, _TOKENS_PER_CALL = 16, 512
# A picture's tokens do not follow from the length of its address. OpenAI's own tables give at most
# 8 tiles and a base: 48,169 with gpt-4o-mini's tiles, under 6,500 with every other model's.
_PICTURE_TOKENS, _PICTURE_TOKENS_DEAR = 6_500, 48_169
_PICTURES = {"image_url", "input_image", "image"}
# A document's pages are read as pictures beside their text: 1 token a byte bounds what is sent
# along; what is named by an address or an id cannot be bounded.
_FILES = {"file", "input_file", "document"}
_MOST_COUNT = 10**8


class RequestRefusedError(Exception):
    """A request that is not forwarded; `status` and `code` are what its sender gets."""

    def __init__(self, message: str, *, status: int = 400, code: str = "invalid_request") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True)
class Bound:
    """A request that can be paid for.

    Args:
        input_tokens: At most so many.
        output_tokens: At most so many.
        body: As it is forwarded.
        is_changed: Whether that differs from how it came.
        factor: What its price is multiplied by, for a dearer service tier.
    """

    model: str
    input_tokens: int
    output_tokens: int
    body: Json
    is_changed: bool = False
    factor: int = 1


class Reader(ABC):
    """Reads one answer while it passes: whole, or event by event.

    `usage` is what it took as far as it has said so, `is_complete` whether it came to its end,
    `finish_reason` how, in the words of OpenAI's chats (`length`, `content_filter`, `refusal`), and
    `error` what stands in it although its status was a good one.
    """

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.is_complete = False
        self.finish_reason: str | None = None
        self.error: str | None = None

    @abstractmethod
    def whole(self, body: Any) -> None:
        """Read an answer that came in one piece."""

    @abstractmethod
    def event(self, data: Any) -> bool:
        """Read one event of a stream; False when its asker did not ask for it."""

    @abstractmethod
    def response(self) -> Any:
        """What the model said, in the dialect's form."""

    @abstractmethod
    def tool_calls(self) -> list[Json]:
        """`{"id", "name", "arguments"}` for each tool that the model called."""


class Dialect(Protocol):
    """One kind of call."""

    @property
    def path(self) -> str:
        """Below the meter's address."""
        ...

    @property
    def provider(self) -> Provider:
        """Whose address and key it is forwarded with."""
        ...

    @property
    def is_embedding(self) -> bool:
        """Whether only its input is paid for."""
        ...

    def bound(self, body: Json, size: int, most_output: int) -> Bound:
        """What a request of `size` bytes may take.

        Args:
            most_output: The limit that is added to a request without one of its own.

        Raises:
            RequestRefusedError: It cannot be bounded, or is none.
        """
        ...

    def reader(self, asked: Json) -> Reader:
        """A reader for its answer; `asked` is the request as it came."""
        ...

    def messages(self, body: Json) -> tuple[list[Any], list[Any]]:
        """The messages and the tools of a request, for its trace."""
        ...

    def refusal(self, status: int, code: str, message: str) -> Json:
        """The body of an error, as its client expects it."""
        ...


class OpenAIDialect:
    """What OpenAI's dialects share."""

    provider: Provider = "openai"
    is_embedding = False

    def refusal(self, status: int, code: str, message: str) -> Json:
        return openai_refusal(status, code, message)


def object_of(value: Any) -> Json:
    """A JSON object as it came, and an empty one for anything else."""
    return cast("Json", value) if isinstance(value, dict) else {}


def list_of(value: Any) -> list[Any]:
    """A JSON list as it came, and an empty one for anything else."""
    return cast("list[Any]", value) if isinstance(value, list) else []


def openai_refusal(status: int, code: str, message: str) -> Json:
    """An error in OpenAI's form."""
    kinds = {401: "authentication_error", 403: "permission_error", 404: "not_found_error"}
    kind = kinds.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def anthropic_refusal(status: int, code: str, message: str) -> Json:
    """An error in Anthropic's form; the code stands before its message."""
    kinds = {401: "authentication_error", 403: "permission_error", 404: "not_found_error"}
    kind = kinds.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": f"{code}: {message}", "code": code}}


def require_model(body: Json) -> str:
    """The request's model.

    Raises:
        RequestRefusedError: It names none.
    """
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise RequestRefusedError(f"model must be a text, got {_shown(model)}", code="model")
    return model


def require_messages(body: Json) -> list[Any]:
    """The request's messages.

    Raises:
        RequestRefusedError: It has none.
    """
    messages = list_of(body.get("messages"))
    if not messages:
        raise RequestRefusedError("messages must be a list that is not empty.", code="messages")
    return messages


def whole_number(body: Json, name: str) -> int | None:
    """A count in the request; None when it has none.

    Raises:
        RequestRefusedError: It is no positive whole number.
    """
    value = body.get(name)
    if value is None:
        return None
    # 100.0 is a whole number to JSON.
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST_COUNT:
        raise RequestRefusedError(
            f"{name} must be a whole number of 1 to {_MOST_COUNT:,}, got {_shown(value)}",
            code="invalid_value",
        )
    return value


def input_bound(body: Json, size: int, messages: int) -> int:
    """The most input tokens of a request: its bytes, and what pictures take beside them.

    A token is at least one byte in the tokenizers in use, and sounds that are sent along take
    far fewer tokens than bytes.

    Raises:
        RequestRefusedError: Something in it lies elsewhere, so that its bytes bound nothing.
    """
    model = str(body.get("model"))
    each = _PICTURE_TOKENS_DEAR if "4o-mini" in model else _PICTURE_TOKENS
    pictures = 0
    for part in _parts(body):
        kind = part.get("type")
        if kind in _PICTURES:
            pictures += 1
        elif kind in _FILES and not _is_inline(part):
            raise RequestRefusedError(
                f"A part of type {kind!r} names a file that lies elsewhere, so its tokens cannot "
                "be bounded; send the file's data along.",
                code="unbounded_request",
            )
    return size + pictures * each + messages * _TOKENS_PER_MESSAGE + _TOKENS_PER_CALL


def _is_inline(part: Json) -> bool:
    held = part.get("file")
    file = cast("Json", held) if isinstance(held, dict) else part
    if file.get("file_data"):
        return True
    source = part.get("source")
    kind = object_of(source).get("type")
    return kind in {"base64", "text", "content"}


def _parts(value: Any, depth: int = 0) -> Iterator[Json]:
    """Every object in the messages that has a type."""
    if depth > 12:
        return
    if isinstance(value, dict):
        held = cast("Json", value)
        if isinstance(held.get("type"), str):
            yield held
        for name, inner in held.items():
            if name not in {"tools", "metadata", "arguments"} or depth:
                yield from _parts(inner, depth + 1)
    elif isinstance(value, list):
        for inner in cast("list[Any]", value):
            yield from _parts(inner, depth + 1)


def require_own_tools(body: Json, own: set[str]) -> None:
    """Refuse tools that the provider runs: they are billed beside tokens, and bring in text.

    Raises:
        RequestRefusedError: Naming the tool.
    """
    tools = body.get("tools")
    for index, tool in enumerate(list_of(tools)):
        kind = object_of(tool).get("type")
        if kind is not None and kind not in own:
            raise RequestRefusedError(
                f"tools[{index}].type {kind!r} is run by the provider: what it reads and what it "
                "costs cannot be bounded from the request. Give it as a tool of your own.",
                code="unbounded_request",
            )


def tier_factor(body: Json) -> int:
    """What a request's service tier multiplies its price by, at most."""
    return 2 if body.get("service_tier") in {"priority", "fast"} else 1


def read_usage(
    usage: Any, sent: str, received: str, details: str, *, cached_beside: bool = False
) -> Usage | None:
    """Read a usage object under a dialect's names; None when its counts make no sense.

    Args:
        cached_beside: What was cached is not part of the input's count, as with Anthropic.
    """
    if not isinstance(usage, Mapping):
        return None
    held = cast("Mapping[str, Any]", usage)
    taken, given = token_count(held.get(sent)), token_count(held.get(received))
    if taken is None or given is None:
        return None
    if cached_beside:
        cached = token_count(held.get("cache_read_input_tokens")) or 0
        written = token_count(held.get("cache_creation_input_tokens")) or 0
        return Usage(taken + cached + written, given, cached, written)
    inner = held.get(details)
    found = token_count(object_of(inner).get("cached_tokens"))
    return Usage(taken, given, min(found or 0, taken))


def read_arguments(text: Any) -> Any:
    """A tool call's arguments as a JSON value, or as they came where they are none."""
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text or "{}")
    except (ValueError, RecursionError):
        return text


def _shown(value: Any) -> str:
    return f"{value!r:.80}"
