"""What a flow makes of the schedule that started it, by fabricated flow runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun

from cornerman.domain.battles.request import BattleParameters
from cornerman.flows.plumbing import server_state
from cornerman.settings import reset_settings


class _Context:
    def __init__(self, flow_run: FlowRun) -> None:
        self.flow_run = flow_run


@pytest.fixture
def run_as(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make the flow run under which code believes to work."""
    reset_settings()

    def pretend(*, scheduled: str, started: str | None, auto: bool = True) -> None:
        run = FlowRun(
            id=uuid4(),
            flow_id=uuid4(),
            auto_scheduled=auto,
            expected_start_time=moment(scheduled),
            start_time=None if started is None else moment(started),
        )
        context = _Context(run)
        monkeypatch.setattr(server_state.FlowRunContext, "get", lambda: context)

    return pretend


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def key_of(**given: Any) -> str | None:
    return server_state.battle_parameters(BattleParameters(**given)).batch_key


def test_a_scheduled_batch_is_named_after_its_slot(run_as: Any) -> None:
    run_as(scheduled="2026-03-01T10:30", started="2026-03-01T10:30:02")
    assert key_of() == "schedule:2026-03-01T10:30Z:negotiation"


def test_a_retry_has_the_same_key(run_as: Any) -> None:
    run_as(scheduled="2026-03-01T10:30", started="2026-03-01T10:30:02")
    first = key_of()
    run_as(scheduled="2026-03-01T10:30", started="2026-03-01T10:30:02")
    assert key_of() == first


def test_what_was_missed_while_everything_was_down_is_one_batch(run_as: Any) -> None:
    keys = set[str | None]()
    for slot in ("07:00", "07:30", "08:00", "08:30"):
        run_as(scheduled=f"2026-03-01T{slot}", started="2026-03-01T08:41:00")
        keys.add(key_of())
    assert keys == {"schedule:2026-03-01T08:30Z:negotiation"}


def test_battle_cron_says_what_a_slot_is(run_as: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATTLE_CRON", "0 */6 * * *")
    reset_settings()
    run_as(scheduled="2026-03-01T06:00", started="2026-03-01T11:59:00")
    assert key_of() == "schedule:2026-03-01T06:00Z:negotiation"


def test_workflows_have_slots_of_their_own(run_as: Any) -> None:
    run_as(scheduled="2026-03-01T10:30", started=None)
    assert key_of() != key_of(workflow_id="support")


def test_a_key_that_was_given_stands(run_as: Any) -> None:
    run_as(scheduled="2026-03-01T10:30", started=None)
    assert key_of(batch_key="mine") == "mine"


def test_a_run_by_hand_has_no_key(run_as: Any) -> None:
    run_as(scheduled="2026-03-01T10:30", started=None, auto=False)
    assert key_of() is None
