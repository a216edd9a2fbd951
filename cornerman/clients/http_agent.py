"""Agents that run elsewhere: one POST per case.

The address comes from the user's own spec on the command line or in Python, never from a
request to the gateway, which must not fetch what strangers name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast
from urllib.parse import urljoin, urlsplit

from cornerman.domain.errors import CornermanError
from cornerman.domain.secrets import Redactor

MAX_ANSWER_BYTES = 8 * 1024 * 1024
MAX_REDIRECTS = 3
MIN_SECRET_CHARS = 6


class HttpAgentError(CornermanError):
    """An agent behind HTTP gave no usable answer.

    Args:
        kind: `timeout`, `connection`, `status`, `redirect`, `too_large`, `bad_answer` or
            `bad_request`.
        status_code: HTTP status, when there was one.
    """

    code = "http_agent"

    def __init__(
        self, message: str, *, kind: str, status_code: int | None = None, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.kind = kind
        self.status_code = status_code

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later."""
        if self.kind == "status":
            return self.status_code == 429 or (self.status_code or 0) >= 500
        return self.kind in {"timeout", "connection"}


async def call_http_agent(
    url: str,
    headers: Mapping[str, str],
    body: Mapping[str, Any],
    timeout_seconds: float,
) -> Any:
    """POST a body such as `{"inputs", "prompts", "thread_id"}` and return the agent's output.

    Args:
        headers: Sent as they are, such as an Authorization; their values stay out of errors.
        body: Sent as JSON.
        timeout_seconds: From connecting to the last byte.

    Returns:
        The key `output` of a JSON object that has it, otherwise the JSON value, otherwise the
        body as text.

    Raises:
        HttpAgentError: No answer, an error status, a redirect to another host, or a body of more
            than 8 MB.
    """
    import aiohttp

    redactor = Redactor(*_secrets(url, headers))
    try:
        content = json.dumps(body, allow_nan=False).encode()
    except (TypeError, ValueError) as exc:
        raise HttpAgentError(f"The case's inputs are not JSON: {exc}", kind="bad_request") from exc
    sent = {"Accept-Encoding": "identity", **headers, "Content-Type": "application/json"}
    timeout = aiohttp.ClientTimeout(total=timeout_seconds)
    problem: HttpAgentError
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session:
            return _output(await _post(session, url, sent, content, redactor))
    except TimeoutError:
        message = f"The agent at {_place(url)} gave no answer within {timeout_seconds:g} s"
        problem = HttpAgentError(message, kind="timeout")
    except (aiohttp.ClientError, ValueError) as exc:
        detail = redactor.error(f"{type(exc).__name__}: {exc}")
        message = f"The agent at {_place(url)} cannot be reached: {detail}"
        hint = "Check graph_config.http.url and that the agent is up."
        problem = HttpAgentError(message, kind="connection", hint=hint)
    raise problem


async def call_chat_agent(
    url: str,
    headers: Mapping[str, str],
    model: str,
    messages: Sequence[Mapping[str, Any]],
    timeout_seconds: float,
) -> Any:
    """Ask an agent that is an OpenAI-compatible endpoint; return its message's text.

    Args:
        url: With or without its `/chat/completions`.

    Raises:
        HttpAgentError: As `call_http_agent`, or an answer without a message.
    """
    if not urlsplit(url).path.rstrip("/").endswith("/chat/completions"):
        url = f"{url.rstrip('/')}/chat/completions"
    body = {"model": model, "messages": list(messages)}
    answer = await call_http_agent(url, headers, body, timeout_seconds)
    try:
        content = answer["choices"][0]["message"]["content"]
    except (TypeError, KeyError, IndexError):
        raise HttpAgentError(
            f"The agent at {_place(url)} answered no chat completion: {answer!r:.200}",
            kind="bad_answer",
        ) from None
    if isinstance(content, list):
        parts = [part for part in cast("list[Any]", content) if isinstance(part, dict)]
        return "".join(str(cast("dict[str, Any]", part).get("text", "")) for part in parts)
    return content or ""


async def _post(
    session: Any, url: str, headers: dict[str, str], body: bytes, redactor: Redactor
) -> bytes:
    """POST and follow redirects within the host, which keep method and body (307, 308)."""
    for _ in range(MAX_REDIRECTS + 1):
        async with session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
            if answer.status in {307, 308}:
                url = _same_host(url, answer.headers.get("Location", ""))
                continue
            content = await _read(answer.content, _place(url))
            if answer.status >= 300:
                said = redactor.error(content[:2000].decode("utf-8", "replace"), 300)
                raise HttpAgentError(
                    f"The agent at {_place(url)} answered {answer.status}: {said}",
                    kind="status",
                    status_code=answer.status,
                )
            return content
    raise HttpAgentError(f"The agent at {_place(url)} redirects in circles", kind="redirect")


def _same_host(url: str, location: str) -> str:
    target = urljoin(url, location)
    if urlsplit(target)[:2] != urlsplit(url)[:2]:
        # The headers may hold a key that is meant for this host alone.
        raise HttpAgentError(
            f"The agent at {_place(url)} redirects to {_place(target)}, which is not followed",
            kind="redirect",
            hint="Set graph_config.http.url to the address that answers.",
        )
    return target


async def _read(content: Any, place: str) -> bytes:
    body = bytearray()
    async for chunk in content.iter_chunked(65536):
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            message = f"The agent at {place} answered more than {MAX_ANSWER_BYTES} bytes"
            raise HttpAgentError(message, kind="too_large")
    return bytes(body)


def _output(content: bytes) -> Any:
    text = content.decode("utf-8", "replace")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value["output"] if isinstance(value, dict) and "output" in value else value


def _secrets(url: str, headers: Mapping[str, str]) -> list[str]:
    """Header values, what follows their scheme (`Bearer`), and the address's query."""
    texts = [*headers.values(), *(value.split()[-1] for value in headers.values() if value.strip())]
    # Shorter ones are values such as `1` or `json`, which errors are full of.
    return [text for text in (*texts, urlsplit(url).query) if len(text) >= MIN_SECRET_CHARS]


def _place(url: str) -> str:
    """Scheme, host and port: the rest of an address may hold a key."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
