"""A chat call as Cornerman makes it, and the bound on what it may use."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cornerman.domain.errors import BadInputError
from cornerman.domain.money.ledger import Role

# What a prompt's `model_kwargs` may set. Not here is what would pass the reserved worst case
# (`n`, `tools`, `service_tier`) and what is the client's own (`stream`, `model`, `messages`).
ALLOWED_KWARGS = frozenset(
    {
        "frequency_penalty",
        "logit_bias",
        "max_completion_tokens",
        "max_tokens",
        "min_p",
        "presence_penalty",
        "reasoning_effort",
        "repetition_penalty",
        "response_format",
        "seed",
        "stop",
        "temperature",
        "top_k",
        "top_p",
        "user",
        "verbosity",
    }
)
MAX_OUTPUT_TOKENS = 1_000_000

# These take `max_completion_tokens`, and refuse a temperature that is not their own.
_REASONING_MODEL = re.compile(r"^(?:[\w.-]+/)*(?:o\d|gpt-(?:[5-9]|\d\d))")

LIMIT_NAMES = ("max_tokens", "max_completion_tokens")

# Bound on what chat templates add: role marks per message, and a preamble per call.
TOKENS_PER_MESSAGE = 16
TOKENS_PER_CALL = 64


@dataclass(frozen=True)
class ChatRequest:
    """One chat call.

    Args:
        messages: `{"role", "content"}`; contents are text.
        temperature: Not sent to reasoning models, which refuse it, unless `extra` has it.
        response_format: As in the chat API, such as `json_schema_format(...)`.
        extra: A prompt's `model_kwargs`; wins over the fields. See ALLOWED_KWARGS.
        timeout_seconds: For one attempt, from sending to the last byte.
        deadline_seconds: For all attempts and the waits between them; None: the caller ends it.
        stream: Have the answer streamed; it is returned whole all the same.
        prompts: Names of the prompts whose text is in the messages, for the call's trace.
    """

    role: Role
    model: str
    messages: tuple[dict[str, Any], ...]
    max_tokens: int = 512
    temperature: float = 0.0
    seed: int | None = None
    response_format: dict[str, Any] | None = None
    extra: dict[str, Any] = field(default_factory=dict[str, Any])
    timeout_seconds: float = 60.0
    deadline_seconds: float | None = None
    stream: bool = False
    prompts: tuple[str, ...] = ()


def check_model_kwargs(kwargs: Mapping[str, Any], *, field: str = "model_kwargs") -> None:
    """Refuse model_kwargs that are unknown or that no call could be made with.

    Raises:
        BadInputError: Naming the field below `field`, the value and what is allowed.
    """
    for name, value in kwargs.items():
        where = f"{field}.{name}"
        if name not in ALLOWED_KWARGS:
            allowed = ", ".join(sorted(ALLOWED_KWARGS))
            raise BadInputError(f"{where} is not allowed; allowed are: {allowed}.", field=where)
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as exc:
            raise BadInputError(f"{where} is not JSON: {value!r}", field=where) from exc
        if name in {"max_tokens", "max_completion_tokens"}:
            _check_number(where, value, 1, MAX_OUTPUT_TOKENS, whole=True)
        elif name == "temperature":
            _check_number(where, value, 0, 2)


def _check_number(where: str, value: Any, low: int, high: int, *, whole: bool = False) -> None:
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        what = "a whole number" if whole else "a number"
        raise BadInputError(
            f"{where} must be {what} of {low} to {high}, got {value!r}", field=where
        )


def limit_name(model: str) -> str:
    """The name under which a model takes the limit of its output."""
    return LIMIT_NAMES[bool(_REASONING_MODEL.match(model))]


def build_body(request: ChatRequest) -> dict[str, Any]:
    """Return the JSON body of a call. The bound on its output is always in it.

    Raises:
        BadInputError: `extra` or `messages` hold what is not allowed.
    """
    check_model_kwargs(request.extra)
    _check_number("max_tokens", request.max_tokens, 1, MAX_OUTPUT_TOKENS, whole=True)
    name = limit_name(request.model)
    params: dict[str, Any] = {}
    if name == "max_tokens":
        params["temperature"] = request.temperature
    if request.seed is not None:
        params["seed"] = request.seed
    if request.response_format is not None:
        params["response_format"] = request.response_format
    params.update(request.extra)
    limits = [params.pop(one, None) for one in LIMIT_NAMES]
    params[name] = min((n for n in limits if n is not None), default=request.max_tokens)
    messages = [_clean_message(message) for message in request.messages]
    return {"model": request.model, "messages": messages, **params}


def _clean_message(message: dict[str, Any]) -> dict[str, Any]:
    clean: dict[str, Any] = {}
    for name, value in message.items():
        if not isinstance(value, str):
            # Pictures and sounds use tokens that the length of their address does not bound.
            where = f"messages.{name}"
            raise BadInputError(f"{where} must be text, got {type(value).__name__}", field=where)
        clean[name] = _mend_surrogates(value)
    return clean


def _mend_surrogates(text: str) -> str:
    """Replace lone surrogates, which JSON files may hold and UTF-8 may not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def worst_tokens(body: Mapping[str, Any]) -> tuple[int, int]:
    """Bound the input and output tokens of a call.

    A token is at least one byte of UTF-8 in the tokenizers in use (byte-level BPE, and
    SentencePiece with byte fallback), so the bytes of the texts bound their tokens.
    """
    messages: list[dict[str, str]] = body["messages"]
    sizes = (len(v.encode()) for m in messages for k, v in m.items() if k != "role")
    tokens = sum(sizes) + TOKENS_PER_MESSAGE * len(messages) + TOKENS_PER_CALL
    if body.get("response_format"):
        tokens += len(json.dumps(body["response_format"]))
    return tokens, output_limit(body)


def output_limit(body: Mapping[str, Any]) -> int:
    """The most tokens that a call may answer with."""
    return int(body.get("max_tokens") or body["max_completion_tokens"])


def with_output_limit(body: Mapping[str, Any], limit: int) -> dict[str, Any]:
    """The same call with another limit of its output, under the name that it has."""
    name = "max_tokens" if "max_tokens" in body else "max_completion_tokens"
    return {**body, name: limit}


def cache_key(base_url: str, body: Mapping[str, Any]) -> str | None:
    """Return the key under which the answer may be kept; None unless at temperature 0."""
    if body.get("temperature") != 0:
        return None
    canonical = json.dumps(["v1", base_url, body], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
