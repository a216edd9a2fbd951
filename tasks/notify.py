"""Telling people: one message per fact, and a failure that never fails the batch."""

from __future__ import annotations

import logging
import sys

from prefect import task
from prefect.cache_policies import NO_CACHE

from cornerman.clients.slack import SlackNotifier
from cornerman.domain.notices import SlackMessage
from cornerman.settings import Settings
from storage import notifications
from storage.engine import Database

log = logging.getLogger(__name__)


def _to_console(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201 - the console is where it goes without a webhook


@task(name="notify", cache_policy=NO_CACHE, persist_result=False)
async def notify(
    db: Database, settings: Settings, key: str, kind: str, message: SlackMessage
) -> bool:
    """Send a message unless this fact was told before; returns whether it was sent now.

    Args:
        key: Names the fact, such as `batch:ID:done`.
        kind: `batch`, `breakthrough`, `budget`, `regression` or `failure`.
    """
    payload = {"text": message.text, "blocks": list(message.blocks)}
    if not await db.write(notifications.create_notification, key, kind, payload):
        return False
    sent = await SlackNotifier(settings.slack_webhook_url, _to_console).send(message)
    await db.write(notifications.update_notification, key, sent=sent.ok, error=sent.error)
    if not sent.ok:
        log.warning("Failed to notify (%s): %s", kind, sent.error)
    return sent.ok
