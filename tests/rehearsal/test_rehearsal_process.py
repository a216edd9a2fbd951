"""The endpoint as a process: it never outlives its parent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.rehearsal.rehearsal_client import Connection

ROOT = Path(__file__).resolve().parents[2]
PARENT = """
import asyncio
from cornerman.rehearsal import rehearsal_endpoint
async def main():
    async with rehearsal_endpoint(latency_ms=0) as running:
        print(running.process_id, flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""


def _gone_within(process_id: int, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not psutil.pid_exists(process_id):
            return True
        if psutil.Process(process_id).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_a_killed_parent_leaves_no_server_behind():
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, cwd=ROOT
    ) as parent:
        assert parent.stdout
        process_id = int(parent.stdout.readline())
        os.kill(parent.pid, signal.SIGKILL)
        assert _gone_within(process_id, 2.0)


def test_ends_when_its_standard_input_ends():
    command = [sys.executable, "-m", "cornerman.rehearsal", "--with-parent"]
    finished = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, cwd=ROOT, timeout=10, check=False
    )
    assert finished.returncode == 0


def test_listens_on_loopback_only_and_imports_nothing_heavy():
    code = (
        "import sys, cornerman.rehearsal.__main__ as m; "
        "print(m.HOST, [n for n in ('pydantic', 'openai', 'fastapi') if n in sys.modules])"
    )
    finished = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, cwd=ROOT, timeout=10, check=True
    )
    assert finished.stdout.decode().strip() == "127.0.0.1 []"


@pytest.mark.parametrize("latency_ms", [0, 150])
def test_waits_as_long_as_it_is_told(latency_ms: int):
    command = [sys.executable, "-m", "cornerman.rehearsal", "--with-parent"]
    with subprocess.Popen(
        [*command, "--latency-ms", str(latency_ms)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    ) as process:
        assert process.stdout and process.stdin
        connection = Connection(json.loads(process.stdout.readline())["base_url"])
        started = time.monotonic()
        connection.text("Label it.", "hello")
        assert time.monotonic() - started >= latency_ms / 1000
        process.stdin.close()
