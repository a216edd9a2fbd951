"""What a battle, a case and their runs cost, measured on the real parts as they are deployed.

A Prefect server, a worker and the rehearsal endpoint, each a process of its own, on SQLite or on
PostgreSQL. Small and large runs tell what each unit adds from what each run adds.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import create_engine, inspect, make_url, text

from tests.bench.limits import databases
from tests.bench.training_load import ROOT, training_request
from tests.support.deployed import Deployed, call, wait_for

ROLES = ("AGENT", "PERSONA", "REFEREE", "OPTIMIZER")
# The list prices of gpt-4o-mini, USD per million tokens.
PRICES = {f"rehearsal-{role.lower()}": {"input": 0.15, "output": 0.6} for role in ROLES}
_SETTLED_SECONDS = 8.0
_IDLE_SECONDS = 10.0


@dataclass(frozen=True)
class Plan:
    """Runs of a deployment, some of one size and as many of another."""

    deployment: str
    small: int
    large: int
    runs: int

    def parameters(self, size: int, number: int) -> dict[str, Any]:
        if self.deployment.startswith("battle"):
            return {"workflow_id": "negotiation", "batch_size": size, "seed": number}
        return training_request(size)


BATTLES = Plan("battle-batch/manual", small=1, large=10, runs=3)
CASES = Plan("train-workflow/manual", small=10, large=210, runs=2)


@dataclass(frozen=True)
class Used:
    """What there is at a moment, or what was added between two.

    Args:
        wall_s: From when runs were to start to their ends.
        bytes, prefect_bytes: Pages of the database in use, indexes included.
    """

    wall_s: float
    worker_cpu_s: float
    server_cpu_s: float
    calls: float
    input_tokens: float
    output_tokens: float
    cost_usd: float
    rows: float
    bytes: float
    prefect_rows: float
    prefect_events: float
    prefect_bytes: float

    def minus(self, other: Used) -> Used:
        return Used(**{name: value - getattr(other, name) for name, value in asdict(self).items()})

    def times(self, factor: float) -> Used:
        return Used(**{name: factor * value for name, value in asdict(self).items()})


@dataclass(frozen=True)
class Cost:
    """What one unit adds, what one run adds besides, and what the unit's writes take.

    Args:
        unit: Of one battle or case.
        run: Of one batch or training, its units left out.
        writes: Transactions' functions of one unit.
        write_ms: Time that the one writer is busy with each of them.
    """

    unit: Used
    run: Used
    writes: float
    write_ms: float

    @property
    def run_s(self) -> float:
        """From a run's slot to its end, the time of its units left out."""
        return self.run.wall_s


@contextlib.contextmanager
def rehearsal() -> Iterator[str]:
    """The rehearsal endpoint as an outside one, which answers at once; yields its base URL."""
    command = [sys.executable, "-S", "-m", "cornerman.rehearsal", "--latency-ms", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["base_url"]
    finally:
        process.kill()
        process.wait()


def environment(address: str, own: str | None) -> dict[str, str]:
    """Settings under which nothing but the work itself takes time."""
    return {
        "OPENAI_BASE_URL": address,
        "OPENAI_API_KEY": "bench",
        "MODEL_PRICES": json.dumps(PRICES),
        "DELAY_BETWEEN_BATTLES_MS": "0",
        "MAX_CONCURRENT_BATTLES": "10",
        "MAX_TRAINING_EXECUTION_TIME_MS": "600000",
        "BATCH_BUDGET_USD": "1000",
        "DAILY_BUDGET_USD": "10000",
        **{f"{role}_MODEL": f"rehearsal-{role.lower()}" for role in ROLES},
        **({"USE_LOCAL_DB": "true", "LOCAL_DB_URL": own} if own else {}),
    }


@dataclass(frozen=True)
class Costs:
    """Everything that was measured with one kind of database.

    Args:
        kept_rows, kept_bytes: Share that is left once every run was pruned.
    """

    battle: Cost
    case: Cost
    kept_rows: float
    kept_bytes: float


def measure(kind: str) -> Costs:
    """Costs with both databases of one kind: `sqlite` or `postgresql`."""
    with (
        tempfile.TemporaryDirectory() as folder,
        databases(kind, durable=True) as urls,
        rehearsal() as address,
    ):
        home = Path(folder) / "home"
        given = environment(address, urls.get("own"))
        with Deployed(home, given, prefect_database=urls.get("prefect")) as machine:
            machine.cornerman("deploy")
            _pause_schedules(machine)
            meter = _Meter(machine, urls)
            battle, case = meter.measure(BATTLES), meter.measure(CASES)
            inside = _measure_inside(machine)
            kept_rows, kept_bytes = meter.prune()
    return Costs(
        _cost(*battle, inside["battle"]), _cost(*case, inside["case"]), kept_rows, kept_bytes
    )


def _pause_schedules(machine: Deployed) -> None:
    """Have nothing run but what is measured."""
    for deployment in call(f"{machine.api}/deployments/filter", {}):
        if deployment["schedules"]:
            call(f"{machine.api}/deployments/{deployment['id']}/pause_deployment", {})


def _cost(unit: Used, first: Used, inside: dict[str, float]) -> Cost:
    """Put together what was seen from outside and from inside.

    Args:
        first: Of a small run, whose one unit is taken away again.
    """
    cpu = {name: inside[name] for name in ("worker_cpu_s", "server_cpu_s")}
    exact = Used(**asdict(unit) | cpu)
    return Cost(exact, first.minus(exact), inside["writes"], inside["write_ms"])


class _Meter:
    """Runs plans on a machine and reads what is there before and after."""

    def __init__(self, machine: Deployed, urls: dict[str, str]) -> None:
        self._machine = machine
        prefect = urls.get("prefect", f"sqlite:///{machine.home}/prefect.db")
        self._prefect = create_engine(make_url(prefect.replace("+asyncpg", "+psycopg")))
        self._own = create_engine(machine.url.replace("postgresql://", "postgresql+psycopg://"))
        self._server = psutil.Process(machine.processes[0].pid)
        self._worker = psutil.Process(machine.worker("worker").pid)
        self._wall = 0.0
        self._idle = self._idle_share()

    def _idle_share(self) -> float:
        """Processor seconds of the server in a second in which nothing runs."""
        self._settle()
        began, cpu = time.monotonic(), sum(self._server.cpu_times()[:2])
        time.sleep(_IDLE_SECONDS)
        return (sum(self._server.cpu_times()[:2]) - cpu) / (time.monotonic() - began)

    def measure(self, plan: Plan) -> tuple[Used, Used]:
        """What a unit adds, and what a run adds that has one unit."""
        self._run(plan, plan.small, 1)  # whatever comes into being only once
        small = self._run(plan, plan.small, plan.runs)
        large = self._run(plan, plan.large, plan.runs)
        unit = large.minus(small).times(1 / (plan.runs * (plan.large - plan.small)))
        return unit, small.times(1 / plan.runs).minus(unit.times(plan.small - 1))

    def _run(self, plan: Plan, size: int, runs: int) -> Used:
        path = f"{self._machine.api}/deployments/name/{plan.deployment}"
        deployment, began, before = call(path)["id"], time.monotonic(), self._read()
        for number in range(runs):
            body = {"parameters": {"parameters": plan.parameters(size, number)}}
            path = f"{self._machine.api}/deployments/{deployment}/create_flow_run"
            # On SQLite the server may be busy for a moment, and says so.
            made = wait_for(lambda p=path, b=body: call(p, b).get("id"), seconds=30)
            self._wait_for(made)
        self._settle()
        idle = self._idle * (time.monotonic() - began)
        used = self._read().minus(before)
        return Used(**asdict(used) | {"server_cpu_s": used.server_cpu_s - idle})

    def prune(self) -> tuple[float, float]:
        """Prune everything; shares of rows and bytes that are left."""
        before = _rows(self._own), self._packed()
        dry = self._machine.cornerman("db", "prune", "--older-than", "0", "--dry-run")["rows"]
        done = self._machine.cornerman("db", "prune", "--older-than", "0")["rows"]
        assert done == dry, (done, dry)
        return _rows(self._own) / before[0], self._packed() / before[1]

    def _packed(self) -> float:
        """Bytes without the room that deleted rows leave behind."""
        with self._own.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            full = "VACUUM FULL" if connection.dialect.name == "postgresql" else "VACUUM"
            connection.execute(text(full))
        return _bytes(self._own)

    def _wait_for(self, flow_run_id: str) -> None:
        def ended_run() -> Any:
            # On SQLite the server may be too busy with its own events to answer.
            with contextlib.suppress(TimeoutError):
                found = call(f"{self._machine.api}/flow_runs/{flow_run_id}")
                return found if found["end_time"] else None

        ended = wait_for(ended_run, seconds=240, what=self._machine.logs)
        assert ended["state_name"] == "Completed", f"{ended}\n{self._machine.logs()}"
        times = [datetime.fromisoformat(ended[key]) for key in ("expected_start_time", "end_time")]
        self._wall += (times[1] - times[0]).total_seconds()

    def _settle(self) -> None:
        """Wait until the server has written the last events; it does so in batches."""
        before, since = -1.0, time.monotonic()
        while time.monotonic() - since < _SETTLED_SECONDS:
            time.sleep(1)
            rows = _rows(self._prefect, "events")
            if rows != before:
                before, since = rows, time.monotonic()

    def _read(self) -> Used:
        with self._own.connect() as connection:
            sums = "COUNT(*), SUM(input_tokens), SUM(output_tokens), SUM(cost_pico)"
            calls = connection.execute(text(f"SELECT {sums} FROM llm_calls")).one()
        worker = self._worker.cpu_times()
        return Used(
            wall_s=self._wall,
            worker_cpu_s=sum(worker[:4]),
            server_cpu_s=sum(self._server.cpu_times()[:2]),
            calls=float(calls[0]),
            input_tokens=float(calls[1] or 0),
            output_tokens=float(calls[2] or 0),
            cost_usd=float(calls[3] or 0) / 1e12,
            rows=_rows(self._own),
            bytes=_bytes(self._own),
            prefect_rows=_rows(self._prefect),
            prefect_events=_rows(self._prefect, "events"),
            prefect_bytes=_bytes(self._prefect),
        )


def _rows(engine: Any, *tables: str) -> float:
    names = tables or inspect(engine).get_table_names()
    with engine.connect() as connection:
        counts = [connection.execute(text(f'SELECT COUNT(*) FROM "{name}"')) for name in names]
        return float(sum(count.scalar_one() for count in counts))


def _bytes(engine: Any) -> float:
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            query = "SELECT SUM(pg_total_relation_size(relid)) FROM pg_stat_user_tables"
            return float(connection.execute(text(query)).scalar_one())
        query = "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, "
        query += "pragma_freelist_count, pragma_page_size"
        return float(connection.execute(text(query)).scalar_one())


def _measure_inside(machine: Deployed) -> dict[str, dict[str, float]]:
    """What a unit takes of its process, of the server and of the writer, by kind of unit."""
    server = str(machine.processes[0].pid)
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.scale_process", server],
        env=machine.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(done.stderr[-2_000:])
    return json.loads(done.stdout.splitlines()[-1])
