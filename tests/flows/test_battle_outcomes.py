"""What a batch that came to nothing, or to less than was asked for, is called everywhere."""

from __future__ import annotations

import logging

import pytest

from cornerman.cli.main import run
from cornerman.flows.plumbing.quiet import tell_stops_in_one_line
from cornerman.report.markdown import batch_markdown
from cornerman.storage import notifications
from cornerman.tasks.report_battles import battle_section
from tests.support.battle_arena import Arena, who
from tests.support.llm_standin import Reply


def _told(arena: Arena, batch_id: str) -> str:
    with arena.db.reading() as session:
        rows = notifications.read_notifications(session)
    return next(row["payload"]["text"] for row in rows if row["key"] == f"batch:{batch_id}:done")


def _listed(capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert run(["runs", "list"]) == 0
    return " ".join(capsys.readouterr().out.split())


async def test_a_batch_without_one_scored_battle_is_failed(
    arena: Arena, capsys: pytest.CaptureFixture[str]
) -> None:
    arena.script.referee = lambda request: "I would rather not say."
    result = await arena.batch(run_id="b1", batch_size=3)
    stored = arena.run("b1")
    assert (result["status"], result["battlesFailed"]) == ("failed", 3)
    assert (stored.status, stored.stopped_by) == ("failed", "error")
    assert stored.error is not None
    assert "0 of 3 battles scored, 3 without a verdict" in stored.error["message"]
    assert "b1" in stored.error["hint"] and stored.result is not None
    assert _told(arena, "b1").startswith("Battle batch b1 failed: none of 3 was scored")
    assert "failed (error), 3 of 3 failed" in _listed(capsys)


async def test_a_batch_with_some_failed_says_how_many(
    arena: Arena, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = Reply(status=403, text="no such model")
    arena.script.override = lambda request, n: refused if who(request) == "p0" else None
    result = await arena.batch(run_id="b1", batch_size=3)
    assert (result["status"], result["battlesFailed"]) == ("completed", 1)
    assert arena.run("b1").status == "completed"
    assert "2 of 3 done, 1 failed" in _told(arena, "b1")
    assert "completed, 1 of 3 failed" in _listed(capsys)
    with arena.db.reading() as session:
        section = battle_section(session, arena.run("b1"))
    assert "2 of 3 battles scored, 1 failed." in section.remarks
    assert "Failed: " in batch_markdown(section, simulated=False)


async def test_what_the_budget_refused_leaves_no_stack_trace(
    arena: Arena, caplog: pytest.LogCaptureFixture
) -> None:
    tell_stops_in_one_line()
    with caplog.at_level(logging.DEBUG):
        result = await arena.batch(run_id="b1", batch_size=2, batch_budget_usd=0.000_001)
    assert result["stoppedBy"] == "budget"
    assert not [r for r in caplog.records if r.exc_info or "Traceback" in r.getMessage()]
    assert any("Not done: Budget batch:b1" in r.getMessage() for r in caplog.records)
