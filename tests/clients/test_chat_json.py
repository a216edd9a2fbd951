from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from cornerman.clients.chat_json import chat_json, json_schema_format
from cornerman.domain.answers import json_text
from cornerman.domain.errors import LLMError
from tests.clients.helpers_llm import SCOPE, ask, open_llm
from tests.support.llm_standin import LLMStandin, Reply, Script
from tests.support.meters import MemoryMeter


class Verdict(BaseModel):
    score: int


FORMAT = json_schema_format("verdict", Verdict.model_json_schema())


async def judge(script: Script) -> tuple[Verdict | None, list[dict[str, Any]]]:
    async with LLMStandin(script) as server, open_llm(server, MemoryMeter()) as llm:
        request = ask("judge", response_format=FORMAT)
        verdict = await chat_json(llm, SCOPE, request, Verdict.model_validate_json)
        return verdict, [recorded.body for recorded in server.requests]


@pytest.mark.parametrize(
    "text",
    [
        '{"score": 7}',
        '```json\n{"score": 7}\n```',
        'Here it is:\n```\n{"score": 7}\n```\nDone.',
        'I {think} it is {"score": 7} and no more {',
    ],
)
async def test_takes_json_with_what_models_put_around_it(text: str):
    verdict, requests = await judge(lambda r, n: Reply(text))
    assert verdict == Verdict(score=7) and len(requests) == 1
    assert requests[0]["response_format"] == FORMAT


async def test_shows_the_model_its_mistake_once():
    replies = ['{"score": "high"}', '{"score": 9}']
    verdict, requests = await judge(lambda r, n: Reply(replies[n]))
    assert verdict == Verdict(score=9)
    said = [message["content"] for message in requests[1]["messages"]]
    assert said[1] == replies[0] and "valid integer" in said[2]


async def test_gives_none_when_the_second_answer_is_no_better():
    verdict, requests = await judge(lambda r, n: Reply(""))
    assert verdict is None and len(requests) == 2


async def test_asks_in_words_where_the_format_is_refused():
    def script(request: dict[str, Any], n: int) -> Reply:
        return Reply("no", status=400) if "response_format" in request else Reply('{"score": 1}')

    verdict, requests = await judge(script)
    assert verdict == Verdict(score=1) and len(requests) == 2
    assert '"score"' in requests[1]["messages"][-1]["content"]


async def test_other_refusals_are_errors():
    with pytest.raises(LLMError):
        await judge(lambda r, n: Reply("no", status=401))


@pytest.mark.parametrize("text", ["", "{" * 100_000, "[" * 100_000, '{"a":' * 50_000, "null {"])
def test_hostile_texts_come_back_as_they_are(text: str):
    assert json_text(text) == text.strip()
