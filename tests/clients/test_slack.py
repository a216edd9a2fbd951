from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from cornerman.clients.slack import SendResult, SlackMessage, SlackNotifier, validate_blocks
from cornerman.domain.notices import BatchDone, batch_done
from tests.support.http_standin import HttpReply, HttpStandin

TOKEN = "T0SECRET/B0SECRET/abcdefghijkl"
MESSAGE = batch_done(BatchDone("b1", 5, 5, 71.5, 0.12, 5.0))


async def send(
    script: Callable[[int], HttpReply], message: SlackMessage = MESSAGE, **options: Any
) -> tuple[SendResult, HttpStandin]:
    async with HttpStandin(script) as server:
        webhook = SecretStr(f"{server.url}/services/{TOKEN}")
        return await SlackNotifier(webhook, print, **options).send(message), server


async def test_posts_text_and_blocks():
    result, server = await send(lambda n: HttpReply())
    assert result == SendResult(ok=True, status=200)
    assert server.bodies == [{"text": MESSAGE.text, "blocks": list(MESSAGE.blocks)}]


@pytest.mark.parametrize("first", [HttpReply(500), HttpReply(503), HttpReply(drop=True)])
async def test_tries_again_after_server_and_connection_errors(first: HttpReply):
    result, server = await send(lambda n: first if n < 2 else HttpReply())
    assert result.ok and len(server.bodies) == 3


@pytest.mark.parametrize("after", ["0.5", "1"])
async def test_waits_as_long_as_slack_asks(after: str):
    limited = HttpReply(429, headers={"Retry-After": after})
    started = time.monotonic()
    result, _ = await send(lambda n: limited if n == 0 else HttpReply())
    assert result.ok and time.monotonic() - started >= float(after)


async def test_gives_up_after_three_tries():
    result, server = await send(lambda n: HttpReply(500, "down"))
    assert (result.ok, result.status, len(server.bodies)) == (False, 500, 3)


async def test_does_not_wait_past_its_time():
    started = time.monotonic()
    result, server = await send(lambda n: HttpReply(429, headers={"Retry-After": "30"}))
    assert result.status == 429 and len(server.bodies) == 1
    assert "no time" in (result.error or "") and time.monotonic() - started < 1


async def test_a_server_that_hangs_ends_in_time():
    result, _ = await send(lambda n: HttpReply(delay=3), total_seconds=0.3)
    assert not result.ok and "0.3 s" in (result.error or "")


async def test_does_not_repeat_what_slack_refuses():
    result, server = await send(lambda n: HttpReply(404, "no_service"))
    assert result == SendResult(False, 404, "Slack answered 404: no_service")
    assert len(server.bodies) == 1


async def test_the_address_is_in_no_error_and_no_log(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    # The stand-in's own log.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    echoed, _ = await send(lambda n: HttpReply(400, f"bad /services/{TOKEN}"))
    webhook = SecretStr(f"http://127.0.0.1:9/services/{TOKEN}")
    refused = await SlackNotifier(webhook, print).send(MESSAGE)
    assert echoed.error and refused.error and not refused.ok
    assert "abcdefghijkl" not in f"{echoed}{refused}{caplog.text}"
    assert "Failed to notify" in caplog.text


async def test_prints_without_a_webhook():
    printed: list[str] = []
    result = await SlackNotifier(None, printed.append).send(MESSAGE)
    assert result.ok and printed == [MESSAGE.text]


async def test_sends_the_text_alone_when_slack_would_refuse_the_blocks():
    broken = SlackMessage("text", ({"type": "header", "text": {}},))
    result, server = await send(lambda n: HttpReply(), broken)
    assert result.ok and server.bodies == [{"text": "text"}]


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


@pytest.mark.parametrize(
    ("blocks", "problem"),
    [
        ([section("x" * 3001)], "3001 characters"),
        ([section("")], "empty"),
        ([section("x")] * 51, "51 blocks"),
        ([{"type": "heading"}], "unknown type"),
        ([{**section("x"), "colour": "red"}], "keys"),
        ([{"type": "section"}], "text"),
        ([{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}], "at most 150"),
        ([{"type": "section", "fields": [section("x")["text"]] * 11}], "at most 10"),
        ([{}], "unknown type"),
    ],
)
def test_finds_what_slack_would_refuse(blocks: list[dict[str, Any]], problem: str):
    problems = validate_blocks(blocks)
    assert problems and problem in problems[0]


def test_finds_nothing_wrong_with_good_blocks():
    assert validate_blocks([section("x" * 3000), {"type": "divider"}]) == []
