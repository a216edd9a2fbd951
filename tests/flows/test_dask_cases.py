"""Cases on a real Dask cluster of two processes: recorded, limited, paid and ended as always."""

from __future__ import annotations

import asyncio
import importlib.util
import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.settings import PREFECT_API_URL

from cornerman.domain.errors import CornermanError, SettingsError
from cornerman.storage import runs
from tests.support.absent import absent
from tests.support.llm_standin import LLMStandin, Reply
from tests.support.ports import free_port
from tests.support.training import MODEL_KEY, World, request_of

USERS_MODULE = """
import os

async def agent(inputs, prompts, context):
    if inputs["need"] == 13:
        raise KeyError("a bug")
    said = await context.chat([{"role": "user", "content": "?"}], max_tokens=2)
    return {"said": said, "process": os.getpid()}

def right(context):
    return context.output["said"] == "yes"
"""
MODULE = "users_on_dask"
WORKERS = 2
PORT = free_port()
# A cent for a token.
PRICES = '{"gpt-4o-mini": {"input": 10000, "output": 10000}}'


@pytest.fixture(scope="module")
def cluster(
    prefect_harness: None, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """Two worker processes; yields the environment that they share with whoever starts runs."""
    if importlib.util.find_spec("prefect_dask") is None:
        absent("the extra dask is not installed; `make test` does it")
    import dask
    from distributed import LocalCluster

    folder = tmp_path_factory.mktemp("dask")
    (folder / f"{MODULE}.py").write_text(USERS_MODULE)
    (folder / "cornerman.db").write_bytes(sqlite_template.read_bytes())
    env = {
        "CORNERMAN_HOME": str(folder),
        "PREFECT_API_URL": str(PREFECT_API_URL.value()),
        "EVALUATOR_MODULES": MODULE,
        "OPENAI_BASE_URL": f"http://127.0.0.1:{PORT}/v1",
        "OPENAI_API_KEY": MODEL_KEY,
        "MODEL_PRICES": PRICES,
        "DAILY_BUDGET_USD": "100000",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        patch.syspath_prepend(str(folder))
        _import_once()
        with (
            dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}),
            LocalCluster(
                n_workers=WORKERS, threads_per_worker=8, processes=True, dashboard_address=None
            ) as made,
        ):
            yield env | {"DASK_SCHEDULER": made.scheduler_address}


def _import_once() -> None:
    """Have workers forked from a process that has imported what they need, which takes seconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["cornerman.flows.plumbing.dask_worker", "distributed"])
    forkserver.ensure_running()


@pytest.fixture
def on_dask(cluster: dict[str, str], world: World) -> World:
    world.home = Path(cluster["CORNERMAN_HOME"])
    world.set(**cluster)
    return world


def request(count: int, **optimizer: Any) -> dict[str, Any]:
    cases = {"cases": [{"inputs": {"need": n}} for n in range(count)]}
    graph = {"entrypoint": f"{MODULE}:agent"}
    return request_of(
        dataset=cases, graph_config=graph, evaluator=f"{MODULE}:right", optimizer=optimizer
    )


def yes(_request: dict[str, Any], n: int) -> Reply:
    return Reply(text="yes", usage=(9, 1), delay=0.1 * (n % 3))


def outcomes(world: World, run_id: str) -> Counter[str]:
    rows = world.rows("SELECT outcome FROM llm_calls WHERE run_id = :run_id", run_id=run_id)
    return Counter(str(row["outcome"]) for row in rows)


async def until(is_so: Callable[[], Any], seconds: float = 30) -> None:
    give_up = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < give_up
        await asyncio.sleep(0.02)


async def test_cases_run_in_the_workers_and_are_recorded_as_always(on_dask: World) -> None:
    async with LLMStandin(yes, latency=1.0, port=PORT) as server:
        result = await on_dask.train(request(24, max_concurrency=10), "spread")
        # Eight may run; a busy machine may be late with the last of them.
        assert server.total == 23 and 6 <= server.max_in_flight <= 8
    assert result["cases"] == {"scored": 23, "timed_out": 0, "errored": 1}
    progress = on_dask.payloads("training_progress", "spread")
    assert sorted(p["case_index"] for p in progress) == list(range(24))
    processes = Counter(p["output"]["process"] for p in progress if p["status"] == "scored")
    assert len(processes) == WORKERS and os.getpid() not in processes
    assert outcomes(on_dask, "spread") == {"ok": 23}
    assert sum(p["cost_usd"] for p in progress) == pytest.approx(result["cost_usd"])
    async with get_client() as client:
        flow_run_id = on_dask.run("spread").flow_run_id
        filter_ = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
        task_runs = await client.read_task_runs(flow_run_filter=filter_)
    assert sum("case k" in run.name or " case " in run.name for run in task_runs) == 24


async def test_a_spent_budget_ends_the_run_from_any_worker(on_dask: World) -> None:
    async with LLMStandin(yes, port=PORT) as server:
        result = await on_dask.train(request(24, max_cost_usd=1.8), "poor")
        assert 0 < server.total < 23
    assert (result["status"], result["stopped_by"]) == ("stopped", "budget")
    assert result["cost_usd"] == pytest.approx(server.total * 0.1)
    assert outcomes(on_dask, "poor") == {"ok": server.total}


async def test_a_cancelled_run_ends_in_the_workers_too(on_dask: World) -> None:
    async with LLMStandin(lambda *_: Reply(hang=True), port=PORT) as server:
        training = asyncio.create_task(on_dask.train(request(12, max_concurrency=8), "long"))
        await until(lambda: server.in_flight == 8)
        with on_dask.db.writing() as session:
            runs.request_cancel(session, "long")
        asked = time.monotonic()
        result = await training
        assert time.monotonic() - asked < 3
        await until(lambda: server.in_flight == 0, seconds=1)
    assert (result["status"], server.total) == ("cancelled", 8)
    assert outcomes(on_dask, "long") == {"cancelled": 8}


async def test_a_killed_workers_cases_are_run_by_another_and_paid_for(on_dask: World) -> None:
    async with LLMStandin(yes, latency=1.0, port=PORT) as server:
        training = asyncio.create_task(on_dask.train(request(24, max_concurrency=8), "hit"))
        query = "SELECT output FROM case_results WHERE run_id = 'hit'"
        await until(lambda: on_dask.rows(query) and server.in_flight >= 4)
        process = on_dask.payloads("training_progress", "hit")[0]["output"]["process"]
        os.kill(process, signal.SIGKILL)
        result = await training
    assert result["cases"] == {"scored": 23, "timed_out": 0, "errored": 1}
    assert len(on_dask.payloads("training_progress", "hit")) == 24
    paid = outcomes(on_dask, "hit")
    assert paid["ok"] >= 23 and paid["unknown"] >= 1 and set(paid) == {"ok", "unknown"}
    assert paid.total() >= server.total


# -- without a cluster


async def test_a_worker_with_another_database_says_so(world: World) -> None:
    from cornerman.domain.training import TrainParameters
    from cornerman.flows.plumbing.dask_run import RunHere, RunTicket

    spec = TrainParameters(**request_of())
    with pytest.raises(CornermanError, match=r"'r1' is not being worked on in.*cornerman\.db"):
        await RunHere.open(RunTicket("r1", "the flow's process", spec, True, {}))


async def test_a_cluster_that_is_not_there_fails_the_run_with_the_commands(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cornerman.flows.plumbing.dask_cases._CONNECT_SECONDS", 0.3)
    address = f"tcp://127.0.0.1:{free_port()}"
    world.set(DASK_SCHEDULER=address)
    with pytest.raises(CornermanError, match=f"no worker at {address}") as raised:
        await world.train(request_of())
    assert f"dask worker {address}" in raised.value.hint
    assert world.run().status == "failed"


async def test_without_the_extra_nothing_begins_and_pip_is_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prefect_dask", None)
    world.set(DASK_SCHEDULER="tcp://127.0.0.1:8786")
    with pytest.raises(SettingsError, match="the extra dask is not installed") as raised:
        await world.train(request_of())
    assert raised.value.hint.startswith("pip install 'cornerman[dask]'")
    assert world.rows("SELECT * FROM runs") == []
