"""Telling people: one message per fact, and a failure that never fails the batch.

A budget that is reached stops all paid work until a person has looked at it.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from cornerman.clients.slack import SlackNotifier
from cornerman.domain.errors import BudgetExceededError
from cornerman.domain.money import pico_to_usd
from cornerman.domain.money.ledger import CallScope
from cornerman.domain.notices import SlackMessage
from cornerman.domain.runs import NewEvent
from cornerman.settings import Settings
from cornerman.storage import budgets, events, ledger, notifications
from cornerman.storage.database import Database

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


def trip_kill_switch(
    session: Any, run_id: str, scope: CallScope, stop: BudgetExceededError
) -> None:
    """Turn the kill-switch on, with the reason; write the ledger's figures as an event.

    Args:
        scope: Its budgets are in the event, each with what is spent and reserved.
    """
    budgets.create_kill_switch_state(
        session, active=True, reason=f"{run_id}: {stop.message}", by="ledger"
    )
    payload = {
        "batch_id": run_id,
        "budget": stop.scope,
        "limit_usd": stop.limit_usd,
        "spent_usd": stop.spent_usd,
        "refused_call_worst_case_usd": stop.needed_usd,
        "budgets": [_budget(session, name) for name in scope.budgets],
        "calls": ledger.read_ledger_summary(session, run_id),
    }
    event = NewEvent("battle_batch", "budget_stopped", payload, f"budget_stopped:{stop.scope}")
    events.create_event(session, run_id, event)


def _budget(session: Any, name: str) -> dict[str, Any]:
    state = ledger.read_budget(session, name)
    if state is None:
        return {"name": name}
    return {
        "name": name,
        "limit_usd": pico_to_usd(state.limit_pico),
        "spent_usd": pico_to_usd(state.spent_pico),
        "reserved_usd": pico_to_usd(state.reserved_pico),
    }
