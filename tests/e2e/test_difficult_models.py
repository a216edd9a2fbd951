"""A training and a batch with a model that thinks, refuses parameters and judges like people."""

from __future__ import annotations

import pytest

from tests.support.battle_arena import Arena, Script, arena  # noqa: F401
from tests.support.difficult_model import DifficultModel
from tests.support.llm_standin import LLMStandin
from tests.support.training import World, climb, request_of, world  # noqa: F401


@pytest.fixture(autouse=True)
def prefect_server(prefect_harness: None) -> None:
    """Ask for the server, so that no flow starts one of its own."""


async def test_a_training_comes_to_what_a_plain_model_brings(world: World) -> None:  # noqa: F811
    request = request_of(8, optimizer={"epochs": 3, "max_concurrency": 2})
    judged = {"id": "judge", "entrypoint": "llm_judge", "config": {"rubric": "Is it right?"}}
    request["evaluators"].append(judged)
    results = []
    for number, script in enumerate((climb, DifficultModel(climb))):
        async with LLMStandin(script) as server:
            world.use_model(server.base_url, MAX_OUTPUT_TOKENS="16384")
            results.append(await world.train(request | {"workflow_id": f"w{number}"}, f"r{number}"))
            if isinstance(script, DifficultModel):
                cut = script.cut
                await world.train(request | {"workflow_id": "again"}, "again")
                # What a run has paid to learn, the next one knows.
                assert script.cut == cut
    plain, difficult = results
    assert isinstance(script, DifficultModel) and script.refused and script.cut
    assert difficult["status"] == "completed" and difficult["cases"]["errored"] == 0
    for name in ("seed_score", "validation_score", "prompts", "summary", "cases"):
        assert difficult[name] == plain[name], name
    # What was found out once is not found out for each call.
    roles = 3
    assert script.refused <= 8 * roles and script.cut <= 2 * 2 * roles
    assert all("<think>" not in str(line["output"]) for line in difficult["results"])
    calls = world.rows("SELECT status, cost_pico, reserved_pico FROM llm_calls")
    assert all(call["status"] == "settled" for call in calls)
    assert all(call["cost_pico"] <= call["reserved_pico"] for call in calls)


async def test_a_batch_is_judged_and_a_filtered_persona_scores_nobody(
    arena: Arena,  # noqa: F811
) -> None:
    script = DifficultModel(arena.script, filtered=("You are buyer P0",))
    arena.server.script = script
    await arena.batch(run_id="b1", batch_size=4)
    battles = arena.battles("b1")
    lost = [battle for battle in battles if battle.persona_id == "p0"]
    assert [battle.status for battle in lost] == ["failed"] * len(lost)
    scored = [battle for battle in battles if battle.persona_id != "p0"]
    assert scored and {battle.status for battle in scored} == {"scored"}
    assert all(battle.fidelity == pytest.approx(0.9) for battle in scored)
    assert all("<think>" not in turn.text for battle in battles for turn in battle.turns)
    arena.check_books()
