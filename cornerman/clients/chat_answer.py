"""Reads what chat endpoints answer, which is not always what the API's reference says."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from cornerman.domain.answers import without_thoughts

FailureKind = Literal[
    "timeout",
    "rate_limited",
    "server_error",
    "connection",
    "malformed",
    "truncated",
    "refused",
]

# More than any model can use in a call: such a count is noise.
_MAX_TOKENS = 10**8


@dataclass(frozen=True)
class Usage:
    """Token counts as the endpoint gave them. Reasoning is part of the output."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0


@dataclass(frozen=True)
class Completion:
    """A usable answer. `usage` is None when the endpoint did not say."""

    text: str
    model: str
    finish_reason: str | None
    usage: Usage | None


def kind_of_status(status: int, *, without_credit: bool) -> FailureKind:
    """What an error's status means: whether a wait may mend it.

    Args:
        without_credit: No wait mends an account without credit, though it comes as a rate limit.
    """
    if status == 429 and not without_credit:
        return "rate_limited"
    return "server_error" if status >= 500 or status in {408, 409} else "refused"


@dataclass(frozen=True)
class Failure:
    """An attempt that gave no usable answer.

    Args:
        message: Not yet redacted.
        free: The endpoint cannot have charged for it: it was never reached, or it answered with
            an error.
        usage: What it said that it used all the same.
        out_of_tokens: The output's limit was reached before any text came; a larger one may do.
        retry_after: Seconds that it asked to wait.
    """

    kind: FailureKind
    message: str
    free: bool = False
    usage: Usage | None = None
    status_code: int | None = None
    retry_after: float | None = None
    out_of_tokens: bool = False


def _completion(
    text: str, model: str, finish_reason: str | None, usage: Usage | None
) -> Completion | Failure:
    said = without_thoughts(text)
    if finish_reason == "length" and not said.strip():
        spent = "" if usage is None else f" after {usage.output_tokens:,} output tokens"
        message = f"The output's limit was reached{spent} before any text came"
        return Failure("truncated", message, usage=usage, out_of_tokens=True)
    return Completion(said, model, finish_reason, usage)


def parse_completion(content: bytes) -> Completion | Failure:
    """Read a whole answer's body."""
    try:
        data: Any = json.loads(content)
    # Deep nesting ends json's recursion.
    except (ValueError, RecursionError) as exc:
        start = content[:120].decode("utf-8", "replace")
        return Failure("malformed", f"The answer is not JSON ({exc}); it starts {start!r}")
    usage = parse_usage(_get(data, "usage"))
    choice = _first_choice(data)
    message = _get(choice, "message")
    if not isinstance(message, dict):
        error = _get(data, "error")
        what = f"an error: {error}" if error else "no choices with a message"
        return Failure("malformed", f"The answer has {what}", usage=usage)
    text = _text(_get(message, "content"))
    if text is None:
        return Failure("malformed", "The answer's content is not text", usage=usage)
    refusal = _get(message, "refusal")
    model, reason = _str(_get(data, "model")) or "", _str(choice["finish_reason"])
    if not text and isinstance(refusal, str) and refusal:
        text, reason = refusal, "refusal"
    return _completion(text, model, reason, usage)


class StreamReader:
    """Puts a streamed answer together, chunk by chunk."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._refusal = ""
        self._model = ""
        self._finish_reason: str | None = None
        self.usage: Usage | None = None

    def add(self, chunk: Any) -> None:
        self.usage = parse_usage(_get(chunk, "usage")) or self.usage
        self._model = _str(_get(chunk, "model")) or self._model
        choice = _first_choice(chunk)
        self._finish_reason = _str(_get(choice, "finish_reason")) or self._finish_reason
        delta = _get(choice, "delta")
        self._parts.append(_text(_get(delta, "content")) or "")
        self._refusal += _str(_get(delta, "refusal")) or ""

    def end(self) -> Completion | Failure:
        """Return the answer. A stream that is cut short may end as cleanly as a whole one; only
        the missing finish reason tells."""
        text = "".join(self._parts)
        if self._finish_reason is None:
            message = f"The stream ended without a finish reason after {len(text)} characters"
            return Failure("truncated", message, usage=self.usage)
        if not text and self._refusal:
            return _completion(self._refusal, self._model, "refusal", self.usage)
        return _completion(text, self._model, self._finish_reason, self.usage)


def parse_usage(usage: Any) -> Usage | None:
    """Read a usage object; None when its counts are missing or make no sense."""
    sent, received = (
        token_count(_get(usage, "prompt_tokens")),
        token_count(_get(usage, "completion_tokens")),
    )
    if sent is None or received is None:
        return None
    # Some endpoints leave reasoning out of the completion's count but not out of the total.
    total = token_count(_get(usage, "total_tokens")) or 0
    details = _get(usage, "prompt_tokens_details")
    written = _get(details, "cache_write_tokens") or _get(details, "cache_creation_tokens")
    cached = min(token_count(_get(details, "cached_tokens")) or 0, sent)
    return Usage(
        input_tokens=sent,
        output_tokens=max(received, total - sent),
        cached_tokens=cached,
        cache_write_tokens=min(token_count(written) or 0, sent - cached),
    )


def _get(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _first_choice(data: Any) -> dict[str, Any]:
    choices = _get(data, "choices")
    first: Any = choices[0] if isinstance(choices, list) and choices else None
    return {"finish_reason": None, **first} if isinstance(first, dict) else {}


def _text(content: Any) -> str | None:
    """Text, or the text parts of a list; "" for null, which a cut or refused answer has."""
    if content is None:
        return ""
    if isinstance(content, list):
        parts = [_get(part, "text") for part in content]
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else None


def _str(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def token_count(value: Any) -> int | None:
    """A count of tokens as an endpoint gave it; None when it makes no sense."""
    sound = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_TOKENS
    return value if sound else None
