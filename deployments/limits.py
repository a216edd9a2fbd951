"""Limits by tag on the Prefect server: they hold several runs and several machines together.

On SQLite they are not made, for there they serialize everything: 64 cases of a second take 64 to
87 s in place of 8. The leases in Cornerman's own database hold the same number either way.
"""

from __future__ import annotations

from dataclasses import dataclass

from cornerman.deployments.prefect_api import is_on_postgresql
from cornerman.tasks.slots import CASE_TAG
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectNotFound

from cornerman.domain.optimizer_options import CONCURRENCY_CAP
from cornerman.settings import Settings

BATTLE_TAG = "battle"


@dataclass(frozen=True)
class LimitsReport:
    """What holds the limits, in words, and the limits by tag that the server now has."""

    held_by: str
    tags: dict[str, int]


def apply_limits(client: SyncPrefectClient, settings: Settings) -> LimitsReport:
    """Make the limits where they do good, take them away where they harm. Idempotent."""
    wanted = {CASE_TAG: CONCURRENCY_CAP, BATTLE_TAG: settings.max_concurrent_battles}
    if not is_on_postgresql(client):
        for tag in wanted:
            _remove(client, tag)
        held_by = "leases in Cornerman's database; Prefect's own limits harm on SQLite"
        return LimitsReport(held_by, {})
    for tag, limit in wanted.items():
        if _read(client, tag) != limit:
            client.create_concurrency_limit(tag=tag, concurrency_limit=limit)
    return LimitsReport("Prefect's tag limits and leases in Cornerman's database", wanted)


def _read(client: SyncPrefectClient, tag: str) -> int | None:
    try:
        return client.read_concurrency_limit_by_tag(tag).concurrency_limit
    except ObjectNotFound:
        return None


def _remove(client: SyncPrefectClient, tag: str) -> None:
    if _read(client, tag) is not None:
        client.delete_concurrency_limit_by_tag(tag)
