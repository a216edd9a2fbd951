"""Which checkpoints a run stores, and that scores and prompts belong together."""

from __future__ import annotations

from typing import Any

from tests.support.llm_standin import LLMStandin
from tests.support.training import World, climb, request_of


async def _climbed(world: World, **optimizer: Any) -> dict[str, Any]:
    async with LLMStandin(climb) as server:
        world.use_model(server.base_url)
        return await world.train(request_of(4, optimizer=optimizer))


async def test_interval_1_and_2_epochs_give_2_checkpoints_and_events(world: World) -> None:
    result = await _climbed(world, epochs=2, checkpoint_interval=1)
    assert [c["metadata"]["epoch"] for c in result["checkpoints"]] == [1, 2]
    assert world.payloads("training_checkpoint")[0]["id"] == result["checkpoints"][0]["id"]
    assert len(world.payloads("training_checkpoint")) == 2


async def test_an_epoch_without_improvement_gives_its_checkpoint_too(world: World) -> None:
    agent = world.agent(
        "async def agent(inputs, prompts, context): return 'no' + prompts['system'][:0]"
    )
    request = request_of(4, graph_config=agent, optimizer={"epochs": 2})
    result = await world.train(request)
    assert [c["metadata"]["candidate_id"] for c in result["checkpoints"]] == ["c0", "c0"]
    assert [c["is_best"] for c in result["checkpoints"]] == [True, False]
    assert result["best_checkpoint"]["id"] == result["checkpoints"][0]["id"]


async def test_interval_5_of_3_epochs_stores_improvements_and_the_end(world: World) -> None:
    result = await _climbed(world, epochs=3, checkpoint_interval=5)
    stored = world.payloads("training_checkpoint")
    assert [c["metadata"]["epoch"] for c in stored] == [1, 2, 3]
    scores = [c["metrics"]["validation_score"] for c in stored]
    assert scores == sorted(scores) and len(set(scores)) == 3
    assert [c["is_best"] for c in result["checkpoints"]] == [False, False, True]


async def test_interval_5_without_improvement_stores_the_first_and_the_last(world: World) -> None:
    agent = world.agent(
        "async def agent(inputs, prompts, context): return 'no' + prompts['system'][:0]"
    )
    request = request_of(4, graph_config=agent, optimizer={"epochs": 3, "checkpoint_interval": 5})
    await world.train(request)
    assert [p["metadata"]["epoch"] for p in world.payloads("training_checkpoint")] == [1, 3]


async def test_a_checkpoint_holds_the_prompts_that_earned_its_scores(world: World) -> None:
    result = await _climbed(world, epochs=4)
    for checkpoint in result["checkpoints"]:
        prompt = checkpoint["runnable_config"]["prompts"]["system"]["text"]
        level = int(prompt.removeprefix("LEVEL "))
        assert checkpoint["metrics"]["validation_score"] == level / 4
        assert checkpoint["metadata"]["summary"] == {"right": level / 4}


async def test_the_best_is_returned_and_not_the_last(world: World) -> None:
    agent = world.agent(
        """
        def agent(inputs, prompts, context):
            return "yes" if "LEVEL 2" in prompts["system"] else "no"
        """
    )
    async with LLMStandin(climb) as server:
        world.use_model(server.base_url)
        result = await world.train(request_of(4, graph_config=agent, optimizer={"epochs": 4}))
    assert result["prompts"]["system"]["text"] == "LEVEL 2"
    assert result["validation_score"] == 1.0
    assert result["best_checkpoint"]["metadata"]["epoch"] == 2


async def test_the_last_rewrite_is_scored_on_all_of_validation(world: World) -> None:
    result = await _climbed(world, epochs=2)
    rows = world.rows("SELECT * FROM case_results WHERE candidate_id = 'c2-1' ORDER BY case_index")
    assert [row["case_id"] for row in rows] == ["k0", "k1", "k2", "k3"]
    assert result["best_checkpoint"]["metadata"]["candidate_id"] == "c2-1"


async def test_a_second_run_starts_from_the_best_checkpoint(world: World) -> None:
    first = await _climbed(world, epochs=2)
    async with LLMStandin(climb) as server:
        world.use_model(server.base_url)
        request = request_of(4, optimizer={"epochs": 1})
        del request["prompts"]
        second = await world.train(request, "r2")
    assert second["prompts"] == first["prompts"]
    assert second["checkpoints"][0]["metadata"]["parent_id"] == first["best_checkpoint"]["id"]
    assert second["checkpoints"][0]["config_version"] == 3
