"""The endpoint as an HTTP server in OpenAI's form."""

from __future__ import annotations

import json
import socket
from urllib.parse import urlsplit

import pytest
from openai import AsyncOpenAI

from cornerman.rehearsal import rehearsal_endpoint
from tests.rehearsal.rehearsal_client import Connection, messages

CHAT = "/v1/chat/completions"


def test_marks_every_completion_as_simulated(endpoint: Connection):
    completion = endpoint.chat("Label the message.", "Where is my parcel?")
    assert completion["system_fingerprint"] == "simulated"
    assert completion["model"] == "rehearsal-agent"
    assert completion["choices"][0]["finish_reason"] == "stop"


def test_lists_a_model_for_each_role(endpoint: Connection):
    status, text = endpoint.send("GET", "/v1/models")
    names = [model["id"] for model in json.loads(text)["data"]]
    assert status == 200
    assert {"rehearsal-agent", "rehearsal-persona", "rehearsal-optimizer"} <= set(names)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"[" * 50_000,
        {"model": "m"},
        {"model": "m", "messages": []},
        {"messages": messages("a", "b")},
        {"model": "m", "messages": [{"role": "king", "content": "x"}]},
        {"model": "m", "messages": messages("a", "b"), "temperature": 3},
        {"model": "m", "messages": messages("a", "b"), "max_tokens": 0},
        {"model": "m", "messages": messages("a", "b"), "seed": "one"},
        {"model": "m", "messages": messages("a", "b"), "response_format": {"type": "xml"}},
    ],
)
def test_refuses_a_bad_body_in_openais_form(endpoint: Connection, body):
    status, text = endpoint.send("POST", CHAT, body)
    assert status == 400
    assert json.loads(text)["error"]["type"] == "invalid_request_error"


def test_unknown_paths_and_methods_are_told(endpoint: Connection):
    assert endpoint.send("GET", "/v1/nothing")[0] == 404
    assert endpoint.send("GET", CHAT)[0] == 405


def test_keeps_the_connection_and_answers_pipelined_requests_in_order(base_url: str):
    address = urlsplit(base_url)
    head = "GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\nGET /v1/no HTTP/1.1\r\nHost: x\r\n"
    with socket.create_connection((address.hostname, address.port), timeout=10) as link:
        link.sendall(f"{head}Connection: close\r\n\r\n".encode())
        received = b"".join(iter(lambda: link.recv(65536), b""))
    assert received.index(b"200 OK") < received.index(b"404 Not Found")


def test_a_broken_head_ends_the_connection_with_an_error(base_url: str):
    address = urlsplit(base_url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as link:
        link.sendall(b"nonsense\r\n\r\n")
        received = b"".join(iter(lambda: link.recv(65536), b""))
    assert received.startswith(b"HTTP/1.1 400")


def test_max_tokens_really_cuts(endpoint: Connection):
    fields = {"system": "You negotiate as the seller.", "user": "Hello, is it for sale?"}
    whole = endpoint.text(**fields)
    cut = endpoint.chat(**fields, max_completion_tokens=3)
    assert cut["choices"][0]["finish_reason"] == "length"
    assert cut["usage"]["completion_tokens"] == 3
    assert whole.startswith(cut["choices"][0]["message"]["content"])


def test_counts_no_more_tokens_than_bytes(endpoint: Connection):
    for text in ("", "!" * 500, "déjà vu ₿ 漢字", "plain words, and more of them " * 40):
        usage = endpoint.chat("x", text)["usage"]
        assert usage["prompt_tokens"] <= len(text.encode()) + 1 + 2 * 16
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
        assert usage["prompt_tokens_details"] == {"cached_tokens": 0}


def test_takes_a_message_of_a_megabyte(endpoint: Connection):
    for text in ("a" * 1_000_000, "if not " * 150_000, "\n" * 1_000_000, "<case>" * 170_000):
        for role in ("agent", "persona", "referee", "optimizer", "judge", "scout", "generator"):
            assert endpoint.chat("Label it.", text, role)["usage"]["prompt_tokens"] > 0


def test_the_role_comes_from_the_header_then_from_the_model(endpoint: Connection):
    body = {"model": "rehearsal-judge", "messages": messages("", "x")}
    by_model = json.loads(endpoint.send("POST", CHAT, body)[1])
    by_header = json.loads(endpoint.send("POST", CHAT, body, role="scout")[1])
    unknown = json.loads(endpoint.send("POST", CHAT, {**body, "model": "gpt-x"})[1])
    found = [answer["model"] for answer in (by_model, by_header, unknown)]
    assert found == ["rehearsal-judge", "rehearsal-scout", "rehearsal-agent"]


async def test_the_openai_client_reads_answers_and_streams(base_url: str):
    client = AsyncOpenAI(base_url=base_url, api_key="none")
    asked = {"model": "rehearsal-agent", "messages": messages("Label it.", "Where is my parcel?")}
    whole = await client.chat.completions.create(**asked)
    stream = await client.chat.completions.create(
        **asked, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage
    assert chunks[-2].choices[0].finish_reason == "stop"
    await client.close()


async def test_the_context_manager_starts_and_stops_its_own_process():
    async with rehearsal_endpoint(seed=3, latency_ms=0) as running:
        connection = Connection(running.base_url)
        assert connection.send("GET", "/v1/models")[0] == 200
    with pytest.raises(OSError, match="refused"):
        Connection(running.base_url).send("GET", "/v1/models")


def test_two_hundred_requests_on_one_connection_all_succeed(endpoint: Connection, triage_cases):
    for case in (triage_cases * 2)[:200]:
        assert endpoint.text("Label it.", json.dumps(case["inputs"]))
