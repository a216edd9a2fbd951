"""How flow runs end in Prefect: with states that say why, and with their results."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import StateType

from cornerman.domain.errors import ConflictError, KillSwitchActiveError
from cornerman.domain.runs import Run
from cornerman.flows.plumbing import reported
from cornerman.flows.plumbing.reported import artifact_key, progress_percent
from cornerman.storage import runs, workflows
from cornerman.storage.database.types import now
from tests.support.training import World, request_of, world  # noqa: F401

Result = dict[str, Any]


@pytest.fixture
def deployed(prefect_harness: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run flows as a worker would: nobody waits for what they return."""
    monkeypatch.setattr(reported, "is_deployed", lambda: True)


def flow_returning(result: Result | Exception) -> Any:
    async def work(parameters: int) -> Result:
        if isinstance(result, Exception):
            raise result
        return result

    return flow(reported.reported("retrain")(work), name="made-for-tests")


@pytest.mark.parametrize(
    ("stopped_by", "name"),
    [
        ("budget", "BudgetStopped"),
        ("kill_switch", "KillSwitch"),
        ("timeout", "TimedOut"),
        ("max_seconds", "TimedOut"),
        (None, "Completed"),
        ("target_score", "Completed"),
    ],
)
async def test_the_state_says_what_stopped_the_run(
    deployed: None, stopped_by: str | None, name: str
) -> None:
    state = await flow_returning({"run_id": "r", "stopped_by": stopped_by})(1, return_state=True)
    assert (state.type, state.name) == (StateType.COMPLETED, name)
    assert (await state.aresult())["run_id"] == "r"


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (KillSwitchActiveError("too dear"), "KillSwitch"),
        (ConflictError("A batch is running already: b.", existing_id="b"), "Overlapping"),
    ],
)
async def test_a_run_that_was_refused_is_no_failure(
    deployed: None, error: Exception, name: str
) -> None:
    state = await flow_returning(error)(1, return_state=True)
    assert (state.type, state.name) == (StateType.CANCELLED, name)
    assert str(error) in str(state.message)


async def test_any_other_error_is_one(deployed: None) -> None:
    state = await flow_returning(ValueError("broken"))(1, return_state=True)
    assert state.type == StateType.FAILED


async def test_from_python_the_result_comes_back_whatever_stopped_the_run(
    prefect_harness: None,
) -> None:
    result = {"run_id": "r", "stopped_by": "budget"}
    assert await flow_returning(result)(1) == result
    with pytest.raises(KillSwitchActiveError):
        await flow_returning(KillSwitchActiveError("too dear"))(1)


async def test_the_state_reaches_the_server_under_its_name(deployed: None) -> None:
    state = await flow_returning({"stopped_by": "budget"})(1, return_state=True)
    async with get_client() as client:
        run = await client.read_flow_run(state.state_details.flow_run_id)
    assert run.state is not None and run.state.name == "BudgetStopped"


def test_artifact_keys_are_what_prefect_takes() -> None:
    assert artifact_key("learning-curve", "My_Flow.2") == "learning-curve-my-flow-2"


@pytest.mark.parametrize(
    ("kind", "request_", "metrics", "status", "percent"),
    [
        ("train", {"optimizer": {"epochs": 4}}, {"epoch": 1}, "running", 25.0),
        ("train", {"optimizer": {"epochs": 4}}, {}, "running", 0.0),
        ("train", {"optimizer": {"epochs": 4}}, {"epoch": 2}, "stopped", 100.0),
        ("evaluate", {}, {"cases_total": 8}, "running", 0.0),
        ("evaluate", {}, {"cases_total": 8}, "stopped", 100.0),
        ("battle", {}, {"battles_done": 2, "battles_total": 5}, "running", 40.0),
        ("scout", {}, {}, "running", 0.0),
    ],
)
def test_progress_follows_a_run_s_own_figures(
    kind: Any, request_: Result, metrics: Result, status: Any, percent: float
) -> None:
    run = Run("r", kind, "w", status, request_, {}, metrics, False, now())
    assert progress_percent(run) == percent


async def test_the_progress_that_is_shown_last_is_the_run_s_end(
    world: World,  # noqa: F811
    prefect_harness: None,
) -> None:
    with world.db.writing() as session:
        workflows.create_workflow(session, "w")
        facts: Result = {"kind": "scout", "workflow_id": "w", "request": {}, "random_state": {}}
        runs.create_run(session, run_id="r", simulated=True, **facts)

    @flow(name="shows-progress")
    async def showing() -> None:
        async with reported.progress_shown("r"):
            await asyncio.sleep(0.3)  # the first look, which sees a run that has not begun
            with world.db.writing() as session:
                runs.finish_run(session, "r", status="completed")

    state = await showing(return_state=True)
    async with get_client() as client:
        mine = ArtifactFilter(
            flow_run_id=ArtifactFilterFlowRunId(any_=[state.state_details.flow_run_id])
        )
        [artifact] = await client.read_artifacts(artifact_filter=mine)
    assert artifact.data == 100


async def test_an_evaluation_leaves_its_table_and_its_verdict(
    world: World,  # noqa: F811
    deployed: None,
) -> None:
    from cornerman.domain.training.evaluation import EvaluateParameters
    from cornerman.flows.evaluate import evaluate_workflow

    graph = world.agent("def agent(inputs): return 'yes'")
    request = EvaluateParameters(**request_of(4, graph_config=graph, min_score=0.5), run_id="e1")
    state = await evaluate_workflow(request, return_state=True)
    assert state.name == "Completed"
    async with get_client() as client:
        flow_run_id = state.state_details.flow_run_id
        mine = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]))
        found = await client.read_artifacts(artifact_filter=mine)
        run = await client.read_flow_run(flow_run_id)
    made = {artifact.key: artifact for artifact in found}
    assert run.name == "evaluate-workflow climb e1"
    assert {"progress-evaluate-climb", "evaluation-climb", "evaluation-climb-table"} <= set(made)
    assert "Passed." in str(made["evaluation-climb"].data)
