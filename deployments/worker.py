"""A worker: `python -m cornerman.deployments.worker [--pool NAME] [--limit N]`.

Prefect's process worker, which besides takes over the runs of workers that died, and tells the
server of the kill-switch. Told to stop, it ends at once; what it was working on goes on with the
next worker, or with this one when it comes back.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import os
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

from cornerman.deployments.supervise import end_with_parent
from cornerman.settings import child_environment, get_settings
from cornerman.settings.load import WORKER_LOCK

POOL = "cornerman"
# Prefect's own: runs would wait ten seconds and more.
_QUICK = {"PREFECT_WORKER_QUERY_SECONDS": "2", "PREFECT_WORKER_PREFETCH_SECONDS": "5"}


def main() -> None:
    """Work until told to stop."""
    parser = argparse.ArgumentParser(
        prog="python -m cornerman.deployments.worker", description=__doc__
    )
    parser.add_argument("--pool", default=POOL)
    parser.add_argument("--name", default=f"{socket.gethostname()}-{os.getpid()}")
    parser.add_argument("--limit", type=int, default=None, help="Most runs at the same time.")
    given = parser.parse_args()
    _prepare_environment()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    end_with_parent(_end)
    lock = _hold_lock(get_settings().home / "workers")
    _own_temporary_folder(lock)
    try:
        asyncio.run(_work(given.pool, given.name, given.limit))
    finally:
        shutil.rmtree(lock.with_suffix(".tmp"), ignore_errors=True)
        lock.unlink(missing_ok=True)


def _end(*_: Any) -> None:
    # No goodbye to the runs: they end by themselves and are continued, rather than cancelled.
    os._exit(0)


def _prepare_environment() -> None:
    """Before Prefect is imported: flow runs get this environment, but another folder."""
    os.environ.update(child_environment())
    for name, value in _QUICK.items():
        os.environ.setdefault(name, value)
    # Agents and evaluators of the folder that the worker was started in.
    path = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path.cwd()), *([path] if path else [])])


def _hold_lock(folder: Path) -> Path:
    """Lock a file for as long as this process lives, and name it to its flow runs."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / f"{os.getpid()}.lock"
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.environ[WORKER_LOCK] = str(lock)
    return lock


def _own_temporary_folder(lock: Path) -> None:
    """Have Prefect's folders of this worker where they are found and removed.

    It makes some for each run under the system's temporary folder, and a worker that is told to
    stop, or killed, leaves them there.
    """
    for left in lock.parent.glob("*.tmp"):
        if not _is_held(left.with_suffix(".lock")):
            shutil.rmtree(left, ignore_errors=True)
    own = lock.with_suffix(".tmp")
    own.mkdir(exist_ok=True)
    os.environ["TMPDIR"] = str(own)
    tempfile.tempdir = None


def _is_held(lock: Path) -> bool:
    """Whether the worker of that lock lives."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


async def _work(pool: str, name: str, limit: int | None) -> None:
    from prefect.workers.process import ProcessWorker

    from cornerman.deployments.automations import announce_forever
    from cornerman.flows.engine import open_database
    from cornerman.runner.rescue import Rescuer

    await asyncio.to_thread(_renew_entrypoints)
    async with open_database() as db:
        beside = [
            asyncio.create_task(Rescuer(db).run_forever(), name="rescuer"),
            asyncio.create_task(announce_forever(db), name="announcer"),
        ]
        worker = ProcessWorker(work_pool_name=pool, name=name, limit=limit)
        await worker.start(printer=_say)
        for task in beside:
            task.cancel()


def _renew_entrypoints() -> None:
    """Deployments of version 0.1.0 name modules that no longer stand alone."""
    from cornerman.deployments.deploy import renew_entrypoints
    from cornerman.deployments.prefect_api import PrefectServerError, server_client

    url = get_settings().prefect_api_url
    if url is None:
        return
    try:
        with server_client(url) as client:
            renew_entrypoints(client)
    except PrefectServerError as error:
        # The worker itself waits for the server; `cornerman deploy` renews them too.
        _say(error)


def _say(text: object) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    main()
