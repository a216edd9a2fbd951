"""Telling people: one message per fact, and a failure that never fails the batch."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from cornerman.storage import notifications
from cornerman.storage.engine import Database
from prefect import task
from prefect.cache_policies import NO_CACHE

from cornerman.clients.slack import SlackNotifier
from cornerman.domain.notices import SlackMessage
from cornerman.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fact:
    """Something to tell once.

    Args:
        key: Names the fact, such as `batch:ID:done`.
        kind: `batch`, `breakthrough`, `budget`, `regression` or `failure`.
    """

    key: str
    kind: str
    message: SlackMessage


def _to_console(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201 - the console is where it goes without a webhook


@task(name="notify", cache_policy=NO_CACHE, persist_result=False)
async def notify(db: Database, settings: Settings, fact: Fact) -> bool:
    """Send a message unless this fact was told before; returns whether it was sent now.

    Never raises: what went wrong is in the log, and with the message for `cornerman doctor`.
    """
    try:
        return await _tell(db, settings, fact)
    except Exception:
        log.exception("Failed to notify (%s)", fact.kind)
        return False


async def _tell(db: Database, settings: Settings, fact: Fact) -> bool:
    payload = {"text": fact.message.text, "blocks": list(fact.message.blocks)}
    if not await db.write(notifications.create_notification, fact.key, fact.kind, payload):
        return False
    sent = await SlackNotifier(settings.slack_webhook_url, _to_console).send(fact.message)
    await db.write(notifications.update_notification, fact.key, sent=sent.ok, error=sent.error)
    if not sent.ok:
        log.warning("Failed to notify (%s): %s", fact.kind, sent.error)
    return sent.ok


async def notify_all(db: Database, settings: Settings, facts: Sequence[Fact]) -> None:
    """Tell facts side by side, and those again that could not be told earlier."""
    told = {fact.key for fact in facts}
    waiting = [
        Fact(row["key"], row["kind"], _stored_message(row["payload"]))
        for row in await db.read(notifications.read_untold)
        if row["key"] not in told
    ]
    await asyncio.gather(*(notify(db, settings, fact) for fact in (*facts, *waiting)))


def _stored_message(payload: dict[str, object]) -> SlackMessage:
    blocks = payload.get("blocks")
    return SlackMessage(str(payload["text"]), tuple(blocks) if isinstance(blocks, list) else ())
