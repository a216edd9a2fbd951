"""Load the gateway: `make bench-gateway`, or with ARGS="--part requests --minutes 1".

Serves a SQLite database with 10,000 checkpoints from a process of its own and measures, at once
or each part alone: 200 requests/s on the checkpoints list, 100 live streams of a run whose events
are being written, and the process's memory. It prints the figures as one JSON document, each
target with `pass` or `FAIL`, and fails when one is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from cornerman.domain.training.candidates import NewCheckpoint
from cornerman.storage import checkpoints, runs, workflows
from cornerman.storage.database import Database
from cornerman.storage.database.migrate import upgrade
from tests.bench.gateway_load import LIVE, PARTS, Load
from tests.support.ports import free_port

CHECKPOINTS = 10_000
TOKEN = "bench-token"


def fill(db: Database) -> None:
    """Store the checkpoints and a run that goes on."""
    prompt = {"text": "You answer in one word. " * 20, "requires_grad": True}
    with db.writing() as session:
        workflows.create_workflow(session, "bench")
        for n in range(CHECKPOINTS):
            new = NewCheckpoint(
                id=f"c{n}",
                workflow_id="bench",
                runnable_config={"prompts": {"system": prompt}},
                metrics={"validation_score": n / CHECKPOINTS, "cases": {"scored": 30}},
                metadata={"run_id": f"r{n // 10}", "epoch": n % 10, "dataset_fingerprint": "f"},
            )
            checkpoints.create_checkpoint(session, new)
        runs.create_run(
            session,
            run_id=LIVE,
            kind="train",
            workflow_id="bench",
            request={},
            random_state={},
            simulated=True,
        )
        runs.claim_run(session, LIVE, "bench:1:x")


@contextlib.contextmanager
def served(home: Path, url: str) -> Iterator[tuple[str, psutil.Process]]:
    """The gateway in a process of its own, as `cornerman serve` runs it."""
    port = free_port()
    env = {
        "CORNERMAN_HOME": str(home),
        "USE_LOCAL_DB": "true",
        "LOCAL_DB_URL": url,
        "API_TOKEN": TOKEN,
    }
    command = ["-m", "cornerman.cli", "serve", "--gateway-only", "--port", str(port)]
    with (home / "gateway.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command], env=os.environ | env, stdout=log, stderr=log
        )
    try:
        yield f"http://127.0.0.1:{port}", psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


async def _until_up(base: str) -> None:
    async with aiohttp.ClientSession() as http:
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with http.get(f"{base}/healthz") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.1)


async def measure(minutes: float, parts: set[str]) -> Load:
    """Set everything up and load it for so long."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/bench.db"
        db = Database(url)
        upgrade(db)
        fill(db)
        with served(Path(folder), url) as (base, process):
            await asyncio.wait_for(_until_up(base), 60)
            headers = {"Authorization": f"Bearer {TOKEN}"}
            load = Load(base, headers, process, db, minutes * 60, parts)
            # Whatever the load's beginning costs is no part of it.
            await load.warm_up()
            await load.run()
        db.close()
        return load


def main() -> int:
    """Measure, print, and tell by the exit code whether the targets were met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long the load goes on")
    parser.add_argument(
        "--part",
        action="append",
        choices=PARTS,
        help="only this part, alone; may be given again; default: all at once",
    )
    given = parser.parse_args()
    load = asyncio.run(measure(given.minutes, set(given.part or PARTS)))
    figures: dict[str, Any] = load.figures()
    targets = load.targets(figures)
    for target in targets:
        print(target.line(), file=sys.stderr)
    missed = [target.name for target in targets if not target.met]
    print(json.dumps(figures | {"missed": missed}, indent=2))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
