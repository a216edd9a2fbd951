"""A chat request as the rehearsal endpoint reads it, and what is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from cornerman.rehearsal.words import Chance

ROLES = ("agent", "persona", "referee", "optimizer", "judge", "scout", "generator")
MODEL_PREFIX = "rehearsal-"

# Reading stops here, so that a message of megabytes costs no more than a long one.
READ_LIMIT = 24_000


class RefusedRequestError(Exception):
    """A body that the OpenAI API would refuse with status 400."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True)
class Message:
    """One message; `role` is system, user, assistant or tool (developer counts as system)."""

    role: str
    content: str


@dataclass(frozen=True)
class ChatRequest:
    """A validated chat completion request.

    Args:
        temperature: None when the request left it out.
        response_format: None for plain text, else the request's own object.
        tool_choice: `auto`, `none`, `required`, or a tool's name.
    """

    role: str
    messages: tuple[Message, ...]
    temperature: float | None = None
    seed: int = 0
    max_tokens: int | None = None
    stream: bool = False
    include_usage: bool = False
    response_format: dict[str, Any] | None = None
    tools: tuple[dict[str, Any], ...] = ()
    tool_choice: str = "auto"

    @property
    def system(self) -> str:
        """All system messages as one text, cut at the reading limit."""
        return "\n\n".join(m.content for m in self.messages if m.role == "system")[:READ_LIMIT]

    @property
    def last_user(self) -> str:
        """The newest user message, cut at the reading limit; empty when there is none."""
        texts = [m.content for m in self.messages if m.role == "user"]
        return texts[-1][:READ_LIMIT] if texts else ""

    @property
    def schema(self) -> dict[str, Any] | None:
        """The JSON schema that the reply must follow, if one was given."""
        found = ((self.response_format or {}).get("json_schema") or {}).get("schema")
        return cast("dict[str, Any]", found) if isinstance(found, dict) else None

    @property
    def noisy(self) -> bool:
        """Whether answers may differ from the best reading: only at a stated temperature."""
        return bool(self.temperature)

    @cached_property
    def digest(self) -> str:
        """Names the request's content; equal requests have equal digests."""
        hasher = hashlib.blake2b(digest_size=12)
        # Greedy decoding knows no seed: at temperature 0 the seed changes nothing.
        seed = 0 if self.temperature == 0 else self.seed
        head = (seed, self.role, self.temperature, self.response_format)
        if self.tools:
            head = (*head, self.tools, self.tool_choice)
        hasher.update(json.dumps(head, sort_keys=True).encode())
        for message in self.messages:
            framed = f"\x1e{message.role}\x1f{message.content}"
            hasher.update(framed.encode("utf-8", "surrogatepass"))
        return hasher.hexdigest()

    def chance(self, server_seed: int) -> Chance:
        """The chance that belongs to this very request."""
        return Chance(server_seed, self.digest)


def parse_body(raw: bytes) -> dict[str, Any]:
    """Read a body as a JSON object.

    Raises:
        RefusedRequestError: It is none.
    """
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise RefusedRequestError(f"The body is not valid JSON: {error}") from None
    if not isinstance(body, dict):
        raise RefusedRequestError("The body must be a JSON object.")
    return cast("dict[str, Any]", body)


def parse_request(fields: dict[str, Any], role_header: str | None) -> ChatRequest:
    """Read a chat request.

    Raises:
        RefusedRequestError: A field has the wrong form.
    """
    model = _field(fields, "model", str, required=True)
    if fields.get("n") not in (None, 1):
        raise RefusedRequestError("Only n = 1 is served here.", "n")
    options: Mapping[str, Any] = _field(fields, "stream_options", dict) or {}
    return ChatRequest(
        role=_role_of(role_header, model),
        messages=_messages(fields.get("messages")),
        temperature=_temperature(fields.get("temperature")),
        seed=_field(fields, "seed", int) or 0,
        max_tokens=_max_tokens(fields),
        stream=bool(_field(fields, "stream", bool)),
        include_usage=bool(options.get("include_usage")),
        response_format=_response_format(fields.get("response_format")),
        tools=_tools(fields.get("tools")),
        tool_choice=_tool_choice(fields.get("tool_choice")),
    )


def _tools(value: Any) -> tuple[dict[str, Any], ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise RefusedRequestError(f"tools must be a list, got {value!r:.80}", "tools")
    items = cast("list[Any]", value)
    return tuple(cast("dict[str, Any]", item) for item in items if isinstance(item, dict))


def _tool_choice(value: Any) -> str:
    if isinstance(value, dict):
        held = cast("dict[str, Any]", value)
        inner = held.get("function")
        named = cast("dict[str, Any]", inner) if isinstance(inner, dict) else held
        return str(named.get("name") or "auto")
    return value if isinstance(value, str) else "auto"


def _field(fields: Mapping[str, Any], name: str, kind: type, required: bool = False) -> Any:
    value = fields.get(name)
    if value is None and not required:
        return None
    # bool is an int to Python, but not to the API.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise RefusedRequestError(f"{name} must be a {kind.__name__}, got {value!r:.80}", name)
    return value


def _role_of(header: str | None, model: str) -> str:
    named = (header or "").strip().lower()
    if named in ROLES:
        return named
    by_model = model.removeprefix(MODEL_PREFIX)
    return by_model if by_model in ROLES else "agent"


def _messages(value: Any) -> tuple[Message, ...]:
    if not isinstance(value, list) or not value:
        raise RefusedRequestError("messages must be a list that is not empty.", "messages")
    items = cast("list[Any]", value)
    return tuple(_message(item, f"messages.{index}") for index, item in enumerate(items))


def _message(item: Any, path: str) -> Message:
    if not isinstance(item, dict):
        raise RefusedRequestError(f"{path} must be an object, got {item!r:.80}", path)
    fields = cast("dict[str, Any]", item)
    role = fields.get("role")
    if role not in ("system", "developer", "user", "assistant", "tool"):
        raise RefusedRequestError(f"{path}.role is not known: {role!r:.80}", f"{path}.role")
    plain = "system" if role == "developer" else str(role)
    return Message(plain, _content(fields.get("content"), f"{path}.content"))


def _content(value: Any, path: str) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, list):
        parts = [part for part in cast("list[Any]", value) if isinstance(part, dict)]
        return "\n".join(str(cast("dict[str, Any]", part).get("text", "")) for part in parts)
    raise RefusedRequestError(f"{path} must be a text, got {value!r:.80}", path)


def _temperature(value: Any) -> float | None:
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= 2:
        raise RefusedRequestError(f"temperature must be in 0..2, got {value!r:.80}", "temperature")
    return float(value)


def _max_tokens(fields: Mapping[str, Any]) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        limit = _field(fields, name, int)
        if limit is not None:
            if limit < 1:
                raise RefusedRequestError(f"{name} must be at least 1, got {limit}", name)
            return int(limit)
    return None


def _response_format(value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    kind = cast("dict[str, Any]", value).get("type") if isinstance(value, dict) else None
    if kind not in ("text", "json_object", "json_schema"):
        raise RefusedRequestError(
            "response_format.type must be text, json_object or json_schema.", "response_format"
        )
    return None if kind == "text" else cast("dict[str, Any]", value)
