"""`make bench-limits`: three workers run three trainings at once, and eight cases in all.

Counted by the model stand-in, which sees every machine. The figure is the ideal time (cases x
seconds / 8) over the time from the first case's start to the last one's end. Prefect's server is
on PostgreSQL, where its tag limits hold besides our leases, and then on SQLite, with leases alone.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import make_url, text

from cornerman.storage.database import Database
from tests.bench.training_load import standin, training_request
from tests.support.deployed import Deployed, call, wait_for
from tests.support.postgres import PostgresDatabases, find_binaries, run_postgres

LIMIT = 8
LEAST = 0.8
RUNS = 3


@contextlib.contextmanager
def databases(kind: str, *, durable: bool = False) -> Iterator[dict[str, str]]:
    """Addresses of Cornerman's and Prefect's database; empty for SQLite in the home.

    Args:
        durable: Have PostgreSQL wait for the disk; SQLite always does.
    """
    if kind == "sqlite":
        yield {}
        return
    binaries = find_binaries()
    if binaries is None:
        raise SystemExit("no PostgreSQL: make env-dev installs one")
    with run_postgres(binaries, durable=durable) as url:
        databases = PostgresDatabases(url)
        own, prefect = databases.create(), databases.create()
        driver = make_url(prefect).set(drivername="postgresql+asyncpg")
        yield {
            "own": own.replace("+psycopg", ""),
            "prefect": driver.render_as_string(hide_password=False),
        }


def measure(kind: str, cases: int, seconds: float) -> dict[str, Any]:
    """Run the trainings on a Prefect server of one kind and count."""
    with (
        tempfile.TemporaryDirectory() as folder,
        databases(kind) as urls,
        standin(seconds) as address,
    ):
        environment = {"OPENAI_BASE_URL": address, "OPENAI_API_KEY": "bench"}
        if urls:
            environment |= {"USE_LOCAL_DB": "true", "LOCAL_DB_URL": urls["own"]}
        machine = Deployed(Path(folder) / "home", environment, prefect_database=urls.get("prefect"))
        with machine:
            deployed = machine.cornerman("deploy")
            for number in range(RUNS):
                machine.start(
                    "-m", "cornerman.deployments.worker", "--limit", "1", name=f"worker-{number}"
                )
            _start_runs(machine, cases)
            db = Database(machine.url.replace("postgresql://", "postgresql+psycopg://"))
            wait_for(
                lambda: _finished(db) == RUNS, seconds=60 + 5 * cases * seconds, what=machine.logs
            )
            stats = call(f"{address.removesuffix('/v1')}/stats")
            wall = _wall_seconds(db)
            db.close()
    ideal = RUNS * cases * seconds / LIMIT
    assert stats["requests"] == RUNS * cases, stats
    return {
        "prefect": kind,
        "limits": deployed["limits"],
        "most_at_once": stats["max_in_flight"],
        "ideal_s": ideal,
        "wall_s": round(wall, 2),
        "of_ideal": round(ideal / wall, 3),
    }


def _start_runs(machine: Deployed, cases: int) -> None:
    deployment = call(f"{machine.api}/deployments/name/train-workflow/manual")
    for number in range(RUNS):
        parameters = {"parameters": training_request(cases, workflow_id=f"bench-{number}")}
        call(
            f"{machine.api}/deployments/{deployment['id']}/create_flow_run",
            {"parameters": parameters},
        )


def _finished(db: Database) -> int:
    with db.reading() as session:
        query = text("SELECT COUNT(*) FROM runs WHERE status NOT IN ('pending', 'running')")
        return int(session.execute(query).scalar_one())


def _wall_seconds(db: Database) -> float:
    with db.reading() as session:
        rows = list(session.execute(text("SELECT created_at, duration_ms FROM case_results")))
    ends = [end if isinstance(end, datetime) else datetime.fromisoformat(end) for end, _ in rows]
    starts = [end - timedelta(milliseconds=row[1]) for end, row in zip(ends, rows, strict=True)]
    return (max(ends) - min(starts)).total_seconds()


def main() -> None:
    """Print a line for each kind of server; exit 1 when one passes the limit or falls short."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=32, help="Cases of each run.")
    parser.add_argument("--seconds", type=float, default=2.0, help="A case's time.")
    parser.add_argument("--kind", choices=["postgresql", "sqlite"], action="append")
    given = parser.parse_args()
    failed = False
    for kind in given.kind or ["postgresql", "sqlite"]:
        began = time.monotonic()
        found = measure(kind, given.cases, given.seconds)
        failed |= found["most_at_once"] > LIMIT or found["of_ideal"] < LEAST
        print(json.dumps(found | {"bench_s": round(time.monotonic() - began)}), flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
