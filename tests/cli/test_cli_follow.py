"""Watching a run: events as they come, and Ctrl-C."""

from __future__ import annotations

import asyncio
import io
import os
import signal
from typing import Any

import pytest
from rich.console import Console

from cornerman.cli.progress import BatchView, TrainingView, follow
from cornerman.domain.runs import NewEvent
from cornerman.storage import events, runs, workflows
from cornerman.storage.database import Database


class Recorder:
    """A view that keeps what it was shown."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.costs: list[float] = []

    def event(self, name: str, payload: dict[str, Any]) -> None:
        self.names.append(name)

    def cost(self, usd: float) -> None:
        self.costs.append(usd)


def begin(session: Any) -> None:
    workflows.create_workflow(session, "w")
    runs.create_run(
        session,
        run_id="r",
        kind="train",
        workflow_id="w",
        request={},
        random_state={},
        simulated=True,
    )


async def write_events(db: Database, count: int) -> str:
    await db.write(begin)
    for number in range(count):
        event = NewEvent("agentensor_trainer", f"event {number}")
        await db.write(events.create_event, "r", event)
    return "done"


async def test_every_event_is_shown_once_in_order(sqlite_db: Database) -> None:
    view = Recorder()
    assert await follow(sqlite_db, "r", view, write_events(sqlite_db, 40)) == "done"
    assert view.names == [f"event {number}" for number in range(40)]
    assert view.costs[-1] == 0.0


async def test_ctrl_c_asks_the_run_to_end(sqlite_db: Database) -> None:
    async def work() -> str:
        await sqlite_db.write(begin)
        await sqlite_db.write(runs.claim_run, "r", "host:1:a")
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(200):
            await asyncio.sleep(0.02)
            run = await sqlite_db.read(runs.read_run, "r")
            if run is not None and run.cancel_requested_at is not None:
                return "ended in good order"
        return "never asked"

    assert await follow(sqlite_db, "r", Recorder(), work()) == "ended in good order"


async def test_ctrl_c_before_there_is_a_run_just_stops(sqlite_db: Database) -> None:
    async def work() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(30)

    with pytest.raises(asyncio.CancelledError):
        await follow(sqlite_db, "r", Recorder(), work())


def training_view(console: Console) -> TrainingView:
    return TrainingView(console, epochs=3, first_epoch_cases=4, test_cases=1, budget_usd=1.0)


EPOCH = {"epoch": 1, "validation_score": 0.5, "accepted": True, "reason": "the [start]"}


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_shown_in_terminals_and_logs(terminal: bool) -> None:
    text = io.StringIO()
    view = training_view(
        Console(file=text, force_terminal=terminal, width=100, markup=False, highlight=False)
    )
    with view.bars:
        case = {"epoch": 1, "status": "timed_out", "split": "train"}
        view.event("training_progress", case)
        view.cost(0.25)
        view.event("training_epoch_complete", EPOCH)
    assert "epoch 1 of 3: validation 50.0%, kept: the [start]" in text.getvalue()
    assert ("$0.2500 of $1.00" in text.getvalue()) == ("\x1b" in text.getvalue()) == terminal


def test_a_battle_that_failed_is_told_with_its_error() -> None:
    text = io.StringIO()
    view = BatchView(Console(file=text, width=100), size=2, budget_usd=5.0)
    with view.bars:
        scores = {"score": 71.4, "ended_by": "goal_reached"}
        view.event("battle_scored", {"persona_id": "ann", "scores": scores})
        view.event("battle_failed", {"persona_id": "bob", "error": "timeout: no answer"})
    assert "ann: 71 of 100, ended by goal_reached" in text.getvalue()
    assert "bob: failed: timeout: no answer" in text.getvalue()
