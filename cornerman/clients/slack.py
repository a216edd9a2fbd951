"""Messages to Slack through an incoming webhook, or to the console when there is none."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from cornerman.clients.retry import parse_retry_after, wait_seconds
from cornerman.domain.notices import (
    FIELD_CHARS,
    FIELDS,
    HEADER_CHARS,
    SECTION_CHARS,
    SlackMessage,
)
from cornerman.domain.secrets import Redactor

if TYPE_CHECKING:
    from slack_sdk.webhook import WebhookResponse

__all__ = ["SendResult", "SlackMessage", "SlackNotifier", "validate_blocks"]

_log = logging.getLogger(__name__)

ATTEMPTS = 3
TOTAL_SECONDS = 10.0
MAX_BLOCKS = 50
CONTEXT_ELEMENTS = 10


@dataclass(frozen=True)
class SendResult:
    """What became of a message.

    Args:
        ok: Slack took it, or it was printed.
        status: The last HTTP status; None when there was none.
        error: Why it was not sent, without the webhook's address.
    """

    ok: bool
    status: int | None = None
    error: str | None = None


class SlackNotifier:
    """Sends messages; never raises, as a batch must not fail over a notice.

    Args:
        webhook: Its address is a secret: whoever has it can post. None: print to `console`.
        total_seconds: Bound on a message with all its tries and waits.
    """

    def __init__(
        self,
        webhook: SecretStr | None,
        console: Callable[[str], None],
        *,
        total_seconds: float = TOTAL_SECONDS,
        rng: Random | None = None,
    ) -> None:
        self._url = webhook.get_secret_value().strip() if webhook else ""
        self._console = console
        self._total_seconds = total_seconds
        self._rng = rng or Random()
        # The path alone is a secret too, and all of it that a client's error may show.
        parts = urlsplit(self._url)
        path = parts.path.strip("/")
        self._redactor = Redactor(self._url, path, path.rpartition("/")[2])

    async def send(self, message: SlackMessage) -> SendResult:
        """Send a message, trying up to three times within `total_seconds`.

        Connection errors, 429 (after its Retry-After) and 5xx are tried again; what Slack
        refuses is not. Blocks that Slack would refuse are left out, so that the text arrives.
        """
        if not self._url:
            self._console(message.text)
            return SendResult(ok=True)
        last = SendResult(ok=False, error="no attempt was made")
        deadline = time.monotonic() + self._total_seconds
        blocks = self._sound_blocks(message)
        for attempt in range(1, ATTEMPTS + 1):
            last, wait = await self._try(message.text, blocks, attempt, deadline)
            if wait is None or attempt == ATTEMPTS:
                break
            if time.monotonic() + wait >= deadline:
                last = SendResult(False, last.status, f"{last.error}; no time is left to retry")
                break
            await asyncio.sleep(wait)
        if not last.ok:
            _log.warning("Failed to notify: %s", last.error)
        return last

    def _sound_blocks(self, message: SlackMessage) -> list[dict[str, Any]]:
        problems = validate_blocks(message.blocks)
        if problems:
            _log.warning("Slack would refuse the blocks, so the text goes alone: %s", problems)
            return []
        return list(message.blocks)

    async def _try(
        self, text: str, blocks: list[dict[str, Any]], attempt: int, deadline: float
    ) -> tuple[SendResult, float | None]:
        """Try once; return the result and how long to wait before another try, if one may help."""
        remaining = max(0.001, deadline - time.monotonic())
        try:
            async with asyncio.timeout(remaining):
                response = await self._post(text, blocks)
        except TimeoutError:
            error = f"no answer within {self._total_seconds:g} s"
            return SendResult(ok=False, error=error), None
        except Exception as exc:  # noqa: BLE001 - whatever aiohttp raises, a notice never fails a batch
            error = self._redactor.error(f"{type(exc).__name__}: {exc}")
            return SendResult(ok=False, error=error), wait_seconds(attempt, None, self._rng)
        if response.status_code == 200:
            return SendResult(ok=True, status=200), None
        return self._refused(response, attempt)

    def _refused(self, response: WebhookResponse, attempt: int) -> tuple[SendResult, float | None]:
        status = response.status_code
        error = self._redactor.error(f"Slack answered {status}: {response.body}", 300)
        wait = None
        if status == 429 or status >= 500:
            headers: Mapping[str, str] = {k.lower(): v for k, v in response.headers.items()}
            wait = wait_seconds(attempt, parse_retry_after(headers, time.time()), self._rng)
        return SendResult(ok=False, status=status, error=error), wait

    async def _post(self, text: str, blocks: list[dict[str, Any]]) -> WebhookResponse:
        # 0.3 s to import, which most runs need not wait for.
        from slack_sdk.webhook.async_client import AsyncWebhookClient

        client = AsyncWebhookClient(
            self._url,
            timeout=max(1, round(self._total_seconds)),
            # Its handlers fail on a Retry-After of 0.5 and never see a 500: we retry ourselves.
            retry_handlers=[],
            # Its own logger writes the address at debug level.
            logger=_silent_logger(),
        )
        if urlsplit(self._url).hostname in {"127.0.0.1", "::1", "localhost"}:
            # It takes a proxy from the environment, which would not find our own machine.
            client.proxy = None
        return await client.send(text=text, blocks=blocks or None)


def _silent_logger() -> logging.Logger:
    logger = logging.getLogger(f"{__name__}.sdk")
    logger.setLevel(logging.CRITICAL)
    return logger


def validate_blocks(blocks: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what Slack would refuse in a message's blocks, offline; empty when nothing."""
    problems = [f"{len(blocks)} blocks; at most {MAX_BLOCKS}"] if len(blocks) > MAX_BLOCKS else []
    for index, block in enumerate(blocks):
        problems += [f"block {index}: {problem}" for problem in _block_problems(dict(block))]
    return problems


def _block_problems(block: dict[str, Any]) -> list[str]:
    from slack_sdk.errors import SlackObjectFormationError
    from slack_sdk.models.blocks import Block

    # Ours first: they say which text is too long, and by how much.
    if problems := _length_problems(block):
        return problems
    try:
        parsed = Block.parse(block)
        if parsed is None:
            return [f"unknown type {block.get('type')!r}"]
        if parsed.to_dict() != block:
            return ["has keys that its type does not know, or lacks some"]
    except (SlackObjectFormationError, TypeError, ValueError, AttributeError) as exc:
        return [str(exc)]
    return []


def _length_problems(block: dict[str, Any]) -> list[str]:
    kind = block.get("type")
    problems: list[str] = []
    text = block.get("text")
    if isinstance(text, dict):
        limit = HEADER_CHARS if kind == "header" else SECTION_CHARS
        problems += _too_long("text", text, limit)
    elif kind in {"header", "section"} and not block.get("fields"):
        problems.append("has neither text nor fields")
    for name, most, limit in (
        ("fields", FIELDS, FIELD_CHARS),
        ("elements", CONTEXT_ELEMENTS, SECTION_CHARS),
    ):
        found = block.get(name)
        parts: list[Any] = found if isinstance(found, list) else []
        if len(parts) > most:
            problems.append(f"{len(parts)} {name}; at most {most}")
        for part in parts:
            problems += _too_long(name, part, limit)
    return problems


def _too_long(name: str, part: Any, limit: int) -> list[str]:
    text = part.get("text") if isinstance(part, dict) else None
    if not isinstance(text, str):
        return []
    if not text:
        return [f"{name} is empty"]
    return [f"{name} has {len(text)} characters; at most {limit}"] if len(text) > limit else []
