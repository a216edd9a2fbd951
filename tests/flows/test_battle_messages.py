"""What people are told: five kinds of message to a real HTTP server, each fact once."""

from __future__ import annotations

import time
from typing import Any

import pytest

from cornerman.clients.slack import validate_blocks
from cornerman.storage.battles import read_battles, update_battle
from cornerman.storage.notifications import read_notifications
from tests.support.battle_arena import Arena
from tests.support.http_standin import HttpReply, HttpStandin


def stored(arena: Arena) -> list[dict[str, Any]]:
    with arena.db.reading() as session:
        return read_notifications(session)


def listen(arena: Arena, slack: HttpStandin) -> None:
    arena.set(SLACK_WEBHOOK_URL=f"{slack.url}/services/T1/B1/secretsecretsecret")


def headers_of(slack: HttpStandin) -> list[str]:
    return [body["blocks"][0]["text"]["text"] for body in slack.bodies]


async def test_tells_of_a_batch_and_of_a_breakthrough(arena: Arena) -> None:
    arena.script.price = lambda request: 200
    async with HttpStandin() as slack:
        listen(arena, slack)
        result = await arena.batch(batch_size=1)
    assert sorted(headers_of(slack)) == [
        f"Battle batch {result['batchId']}: 1 of 1 done",
        "Breakthrough against p0: 100 / 100",
    ]
    assert [validate_blocks(body["blocks"]) for body in slack.bodies] == [[], []]


async def test_tells_of_a_budget_that_is_used_up(arena: Arena) -> None:
    async with HttpStandin() as slack:
        listen(arena, slack)
        await arena.batch(run_id="b1", batch_size=2, batch_budget_usd=0.000_1)
    said = [body["text"] for body in slack.bodies]
    assert any("Budget batch:b1 is used up" in text for text in said)
    assert any("cornerman kill-switch off" in text for text in said)


async def test_tells_of_a_failed_batch(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("the ratings broke")

    monkeypatch.setattr("cornerman.flows.battle_end.rate", broken)
    async with HttpStandin() as slack:
        listen(arena, slack)
        with pytest.raises(RuntimeError):
            await arena.batch(run_id="b1", batch_size=1)
    assert "RuntimeError: the ratings broke" in slack.bodies[0]["text"]
    assert arena.run("b1").status == "failed"
    arena.check_books()


async def test_tells_of_a_regression_once(arena: Arena) -> None:
    people = [f"p{n}" for n in range(8)]
    # A pair's scores must differ somewhere, or nothing could be told from chance.
    arena.script.price = lambda request: 180 + int(who_speaks(request)) % 3
    await arena.batch(batch_size=8, persona_ids=people)
    play_as_version(arena, "v0")
    arena.script.price = lambda request: 120 + int(who_speaks(request)) % 2
    async with HttpStandin() as slack:
        listen(arena, slack)
        first = await arena.batch(batch_size=8, persona_ids=people)
        await arena.batch(batch_size=8, persona_ids=people)
    told = [header for header in headers_of(slack) if "is worse than" in header]
    assert told == ["Version seed is worse than v0"]
    assert first["metrics"]["regression"]["difference"] < -50


def who_speaks(request: dict[str, Any]) -> str:
    text = str(request["messages"])
    return text[text.index(" here.") - 1]


def play_as_version(arena: Arena, version: str) -> None:
    """Make the stored battles an earlier version's."""
    with arena.db.writing() as session:
        for battle in read_battles(session):
            update_battle(session, battle.model_copy(update={"agent_version": version}))


async def test_each_fact_is_told_once_also_when_the_batch_is_asked_for_again(arena: Arena) -> None:
    async with HttpStandin() as slack:
        listen(arena, slack)
        await arena.batch(batch_key="monday", batch_size=1)
        await arena.batch(batch_key="monday", batch_size=1)
    assert len(slack.bodies) == 1


async def test_waits_as_long_as_slack_asks(arena: Arena) -> None:
    async with HttpStandin(
        lambda n: HttpReply(429, headers={"Retry-After": "1"}) if n == 0 else HttpReply()
    ) as slack:
        listen(arena, slack)
        began = time.monotonic()
        await arena.batch(batch_size=1)
    assert len(slack.bodies) == 2
    assert time.monotonic() - began > 1
    assert stored(arena)[0]["status"] == "sent"


async def test_a_failure_to_notify_fails_nothing_and_is_kept(
    arena: Arena, caplog: pytest.LogCaptureFixture
) -> None:
    async with HttpStandin(lambda n: HttpReply(404, "no_team")) as slack:
        listen(arena, slack)
        result = await arena.batch(batch_size=1)
    assert result["battlesCompleted"] == 1
    (row,) = stored(arena)
    assert (row["status"], row["error"]) == ("failed", "Slack answered 404: no_team")
    assert "Failed to notify (batch): Slack answered 404: no_team" in caplog.text
    assert "secretsecretsecret" not in caplog.text


async def test_what_could_not_be_told_is_told_with_the_next_batch(arena: Arena) -> None:
    down = {"slack": True}
    async with HttpStandin(lambda n: HttpReply(404 if down["slack"] else 200)) as slack:
        listen(arena, slack)
        await arena.batch(run_id="b1", batch_size=1)
        down["slack"] = False
        await arena.batch(run_id="b2", batch_size=1)
    assert {row["status"] for row in stored(arena)} == {"sent"}
    assert len([h for h in headers_of(slack) if "b1" in h]) == 2


async def test_without_a_webhook_it_goes_to_the_console(
    arena: Arena, capsys: pytest.CaptureFixture[str]
) -> None:
    await arena.batch(run_id="b1", batch_size=1)
    printed = capsys.readouterr()
    assert "Battle batch b1: 1 of 1 done" in printed.err
    assert "Battle batch" not in printed.out
    assert stored(arena)[0]["status"] == "sent"


async def test_hostile_text_forges_no_mention(arena: Arena) -> None:
    arena.script.price = lambda request: 200
    arena.script.tactic = lambda: (
        '{"title": "<!channel>", "tactic": "<https://evil.example|click>", '
        '"defining_turn": 1, "snippet": "I can do"}'
    )
    async with HttpStandin() as slack:
        listen(arena, slack)
        await arena.batch(batch_size=1)
    assert "<!channel>" not in str([body["blocks"][1:] for body in slack.bodies])
    assert "<https://evil" not in str(slack.bodies)
