"""Answers that were refused, filtered or cut are told apart, and nobody is scored by another's."""

from __future__ import annotations

import pytest

from tests.support.battle_arena import Arena, arena, who  # noqa: F401
from tests.support.llm_standin import LLMStandin, Reply
from tests.support.training import World, climb, is_judge, request_of


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_how_an_agents_answer_ended_stands_with_its_result(world: World, reason: str) -> None:
    def script(request: dict[str, object], n: int) -> Reply:
        return Reply(text="yes", finish_reason=reason if n == 0 else "stop")

    async with LLMStandin(script) as server:
        world.use_model(server.base_url)
        result = await world.train(request_of(4, optimizer={"max_concurrency": 1}))
    assert result["finish_reasons"] == {reason: 1}
    ended = [line["finish_reason"] for line in result["results"]]
    assert sorted(map(str, ended)) == sorted([reason, *["None"] * (len(ended) - 1)])
    told = [payload["finish_reason"] for payload in world.payloads("training_progress")]
    assert told.count(reason) == 1
    rows = world.rows("SELECT finish_reason FROM case_results WHERE finish_reason IS NOT NULL")
    assert [row["finish_reason"] for row in rows] == [reason]


async def test_a_models_own_refusal_is_no_filter(world: World) -> None:
    import json

    message = {"role": "assistant", "content": None, "refusal": "I cannot help with that."}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}
    body = json.dumps({"model": "m", "choices": [choice], "usage": usage}).encode()
    async with LLMStandin(lambda request, n: Reply(body=body)) as server:
        world.use_model(server.base_url)
        result = await world.train(request_of(1))
    assert result["finish_reasons"] == {"refusal": result["cases"]["scored"]}
    assert result["results"][0]["output"] == "I cannot help with that."


async def test_a_refused_judge_is_no_score(world: World) -> None:
    def script(request: dict[str, object], n: int) -> Reply:
        if is_judge(request):
            return Reply(text="", finish_reason="content_filter")
        return climb(request, n)

    request = request_of(1, evaluator="llm_judge")
    request["evaluators"][0]["config"] = {"rubric": "Is it right?"}
    async with LLMStandin(script) as server:
        world.use_model(server.base_url)
        with pytest.raises(Exception, match=r"judge was filtered \(content_filter\)"):
            await world.train(request)
    (row,) = world.rows("SELECT status, score FROM case_results")
    assert (row["status"], row["score"]) == ("errored", None)


async def test_a_refused_persona_is_no_score_for_the_agent(arena: Arena) -> None:  # noqa: F811
    filtered = Reply(text="", finish_reason="content_filter")
    arena.script.override = lambda request, n: filtered if who(request) == "p0" else None
    await arena.batch(run_id="b1", batch_size=3)
    (lost,) = [battle for battle in arena.battles("b1") if battle.persona_id == "p0"]
    assert (lost.status, lost.score) == ("failed", None)
    assert lost.error is not None and "The persona was filtered (content_filter)" in lost.error
    assert all(turn.text.strip() for turn in lost.turns)


async def test_a_refused_referee_is_no_score_and_says_so(arena: Arena) -> None:  # noqa: F811
    arena.script.override = lambda request, n: (
        Reply(text="", finish_reason="content_filter") if request["model"] == "referee-m" else None
    )
    await arena.batch(run_id="b1", batch_size=2)
    for battle in arena.battles("b1"):
        assert (battle.status, battle.score) == ("unscored", None)
        assert battle.error is not None and "The referee was filtered" in battle.error


async def test_a_turn_with_nothing_in_it_says_why(arena: Arena) -> None:  # noqa: F811
    arena.script.override = lambda request, n: (
        Reply(text="", finish_reason="content_filter") if request["model"] == "agent-m" else None
    )
    await arena.batch(run_id="b1", batch_size=1)
    turns = arena.battles("b1")[0].turns
    assert "(nothing was said: content_filter)" in {turn.text for turn in turns}
