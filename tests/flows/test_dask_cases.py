"""Cases on a real Dask cluster of two processes: recorded, limited and ended as always."""

from __future__ import annotations

import importlib.util
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL

from tests.support.absent import absent
from tests.support.llm_standin import LLMStandin, Reply
from tests.support.ports import free_port
from tests.support.training import MODEL_KEY, World, request_of

AGENT = """
import os

async def agent(inputs, prompts, context):
    if inputs["need"] == 13:
        raise KeyError("a bug")
    return {"said": await context.chat([{"role": "user", "content": "?"}]), "process": os.getpid()}

def right(context):
    return context.output["said"] == "yes"
"""
MODULE = "users_on_dask"
PORT = free_port()
WORKERS = 2


@pytest.fixture(scope="module")
def cluster(
    prefect_harness: None, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """Two worker processes; yields the environment that they share with whoever starts runs."""
    if importlib.util.find_spec("prefect_dask") is None:
        absent("the extra dask is not installed; `make test` does it")
    from distributed import LocalCluster

    folder = tmp_path_factory.mktemp("dask")
    (folder / f"{MODULE}.py").write_text(AGENT)
    (folder / "cornerman.db").write_bytes(sqlite_template.read_bytes())
    env = {
        "CORNERMAN_HOME": str(folder),
        "PREFECT_API_URL": str(PREFECT_API_URL.value()),
        "EVALUATOR_MODULES": MODULE,
        "OPENAI_BASE_URL": f"http://127.0.0.1:{PORT}/v1",
        "OPENAI_API_KEY": MODEL_KEY,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        patch.syspath_prepend(str(folder))
        with LocalCluster(
            n_workers=WORKERS, threads_per_worker=8, processes=True, dashboard_address=None
        ) as made:
            yield env | {"DASK_SCHEDULER": made.scheduler_address}


@pytest.fixture
def on_dask(cluster: dict[str, str], world: World) -> World:
    world.home = Path(cluster["CORNERMAN_HOME"])
    world.set(**cluster)
    return world


def request(count: int, **changes: Any) -> dict[str, Any]:
    dataset = {"cases": [{"inputs": {"need": n}} for n in range(count)]}
    graph = {"entrypoint": f"{MODULE}:agent"}
    return request_of(dataset=dataset, graph_config=graph, evaluator=f"{MODULE}:right", **changes)


def yes(_request: dict[str, Any], _n: int) -> Reply:
    return Reply(text="yes")


async def test_cases_run_in_the_workers_and_are_recorded_as_always(on_dask: World) -> None:
    async with LLMStandin(yes, latency=0.1, port=PORT) as server:
        result = await on_dask.train(request(24, optimizer={"max_concurrency": 10}), "spread")
        assert (server.total, server.max_in_flight) == (23, 8)
    assert result["cases"] == {"scored": 23, "timed_out": 0, "errored": 1}
    progress = on_dask.payloads("training_progress", "spread")
    processes = Counter(p["output"]["process"] for p in progress if p["status"] == "scored")
    assert len(processes) == WORKERS and os.getpid() not in processes
    calls = on_dask.rows("SELECT status, outcome FROM llm_calls WHERE run_id = 'spread'")
    assert Counter(call["outcome"] for call in calls) == {"ok": 23}
    assert sum(p["cost_usd"] for p in progress) == pytest.approx(result["cost_usd"])
