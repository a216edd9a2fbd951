"""The supervisor, with real children."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cornerman.deployments.addresses import Addresses, AlreadyUpError, choose_prefect_port, only_one
from cornerman.deployments.supervise import Child, Supervisor

SLEEPS = "import time; time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(15, lambda *a: None); print(1); time.sleep(60)"
FAITHFUL = (
    "from cornerman.deployments.supervise import end_with_parent\n"
    "import os, time\n"
    "assert end_with_parent(lambda: os._exit(0))\n"
    "time.sleep(60)"
)


def child(code: str, log: Path | None = None) -> Child:
    return Child("child", [sys.executable, "-c", code], dict(os.environ), log)


async def until(condition: Callable[[], object], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_child_that_dies_is_started_again() -> None:
    said = list[str]()
    supervisor = Supervisor(said.append)
    supervisor.keep(child(SLEEPS))
    await until(lambda: supervisor.pid("child"))
    first = supervisor.pid("child")
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: supervisor.pid("child") not in (None, first))
    await supervisor.stop()
    assert len(said) == 1 and "again in 0.5 s" in said[0]


async def test_one_that_keeps_dying_is_started_ever_more_rarely() -> None:
    said = list[str]()
    supervisor = Supervisor(said.append)
    supervisor.keep(child("raise SystemExit(3)"))
    await until(lambda: len(said) >= 3)
    await supervisor.stop()
    assert [line.split("again in ")[1].split(" s")[0] for line in said[:3]] == ["0.5", "1", "2"]


async def test_stopping_leaves_nobody_behind() -> None:
    supervisor = Supervisor(lambda _: None)
    supervisor.keep(child(SLEEPS))
    await until(lambda: supervisor.pid("child"))
    pid = supervisor.pid("child")
    assert pid is not None
    await supervisor.stop()
    assert not lives(pid)


async def test_stopping_takes_less_than_five_seconds_with_a_stubborn_child(tmp_path: Path) -> None:
    supervisor, log = Supervisor(lambda _: None), tmp_path / "log"
    supervisor.keep(child(STUBBORN.replace("print(1)", "print(1, flush=True)"), log))
    await until(lambda: log.exists() and log.read_text())
    began = time.monotonic()
    await supervisor.stop()
    assert time.monotonic() - began < 5


async def test_a_child_s_output_goes_to_its_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "child.log"
    supervisor = Supervisor(lambda _: None)
    supervisor.keep(child("print('hello', flush=True); import time; time.sleep(60)", log))
    await until(lambda: log.exists() and "hello" in log.read_text())
    await supervisor.stop()


async def test_a_killed_parent_s_children_end_by_themselves(tmp_path: Path) -> None:
    parent = (
        "import asyncio, os, sys\n"
        "from cornerman.deployments.supervise import Child, Supervisor\n"
        "async def main():\n"
        "    s = Supervisor(print)\n"
        f"    s.keep(Child('c', [sys.executable, '-c', {FAITHFUL!r}], dict(os.environ)))\n"
        "    while s.pid('c') is None: await asyncio.sleep(0.01)\n"
        "    print(s.pid('c'), flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True, cwd=root
    )
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    await asyncio.sleep(0.5)  # let the child begin to watch
    process.kill()
    process.wait()
    await until(lambda: not lives(pid))


def test_a_second_serve_is_told_of_the_first(tmp_path: Path) -> None:
    with only_one(tmp_path) as path:
        path.write_text('{"gateway": "g", "monitor": "m", "prefect": "p", "pid": 7}')
        with pytest.raises(AlreadyUpError, match="process 7") as refused, only_one(tmp_path):
            pass
    assert refused.value.addresses == Addresses("g", "m", "p", 7)


def test_what_a_killed_serve_leaves_is_in_nobody_s_way(tmp_path: Path) -> None:
    (tmp_path / "serve.lock").touch()
    (tmp_path / "serve.json").write_text("{broken")
    with only_one(tmp_path) as path:
        assert not path.exists()


def test_the_port_of_prefect_can_be_chosen() -> None:
    assert choose_prefect_port("4321") == 4321
    assert choose_prefect_port(None) > 0
