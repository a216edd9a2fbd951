from __future__ import annotations

from typing import Any

import pytest

from cornerman.clients.http_agent import HttpAgentError, call_http_agent
from tests.support.http_standin import HttpReply, HttpStandin

BODY = {"inputs": {"q": 1}, "prompts": {"system": "s"}}
HEADERS = {"Authorization": "Bearer agent-secret-123"}


async def call(reply: HttpReply, timeout_seconds: float = 5) -> Any:
    async with HttpStandin(lambda n: reply if n == 0 else HttpReply(body="moved")) as server:
        url = f"{server.url}/run?key=agent-secret-123"
        return await call_http_agent(url, HEADERS, BODY, timeout_seconds)


@pytest.mark.parametrize(
    ("body", "output"),
    [
        ('{"output": "42", "more": 1}', "42"),
        ('{"output": null}', None),
        ('{"answer": 42}', {"answer": 42}),
        ("[1]", [1]),
        ("plain", "plain"),
        ("[" * 100_000, "[" * 100_000),
    ],
)
async def test_takes_the_output_key_or_the_whole_body(body: str, output: object):
    assert await call(HttpReply(body=body)) == output


async def test_posts_inputs_prompts_and_headers():
    async with HttpStandin() as server:
        await call_http_agent(server.url + "/", HEADERS, BODY, 5)
    assert server.bodies == [BODY]
    assert server.headers[0]["Authorization"] == HEADERS["Authorization"]


@pytest.mark.parametrize(
    ("reply", "kind", "retryable"),
    [
        (HttpReply(500, "agent-secret-123"), "status", True),
        (HttpReply(429), "status", True),
        (HttpReply(404), "status", False),
        (HttpReply(302, headers={"Location": "/x"}), "status", False),
        (HttpReply(307, headers={"Location": "http://127.0.0.2:1/x"}), "redirect", False),
        (HttpReply(drop=True), "connection", True),
        (HttpReply(delay=2), "timeout", True),
        (HttpReply(body=b"x" * 8_400_000), "too_large", False),
    ],
)
async def test_failures_are_typed_and_hold_no_secret(reply: HttpReply, kind: str, retryable: bool):
    with pytest.raises(HttpAgentError) as caught:
        await call(reply, timeout_seconds=1)
    assert (caught.value.kind, caught.value.retryable) == (kind, retryable)
    assert "agent-secret" not in str(caught.value) and caught.value.__context__ is None


async def test_follows_a_redirect_within_the_host():
    assert await call(HttpReply(307, headers={"Location": "/other"})) == "moved"


async def test_refuses_inputs_that_are_not_json():
    with pytest.raises(HttpAgentError, match="not JSON"):
        await call_http_agent("http://127.0.0.1:9", {}, {"q": object()}, 1)


async def test_says_when_nothing_listens():
    with pytest.raises(HttpAgentError) as caught:
        await call_http_agent("http://127.0.0.1:9", {}, {}, 1)
    assert caught.value.kind == "connection" and caught.value.hint
