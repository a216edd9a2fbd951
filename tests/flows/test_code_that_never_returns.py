"""Users' code that never comes back: its case is timed out, and nobody waits for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.support.training import World, request_of

NEVER = {
    "a loop": "while True: pass",
    "a sleep": "import time; time.sleep(3600)",
    "a wait": "import threading; threading.Event().wait()",
    "a loop that holds on": """
        while True:
            try:
                pass
            except Exception:
                pass""",
}


def _code(body: str) -> str:
    lines = "\n".join(f"    {line}" for line in _flush(body).splitlines())
    return f"""
def agent(inputs, prompts, context): return "yes"

def stuck(context):
    if context.inputs["need"] != 2:
        return True
{lines}

def stuck_agent(inputs, prompts, context):
    if inputs["need"] != 2:
        return "yes"
{lines}
"""


def _flush(body: str) -> str:
    return "\n".join(line.removeprefix(" " * 8) for line in body.strip("\n").splitlines())


@pytest.mark.parametrize("kind", list(NEVER))
@pytest.mark.parametrize("who", ["evaluator", "agent"])
async def test_its_case_is_timed_out_and_the_run_goes_on(world: World, kind: str, who: str) -> None:
    before = set(_left())
    users = world.module(_code(NEVER[kind]))
    request = request_of(
        4,
        graph_config={"entrypoint": f"{users}:{'stuck_agent' if who == 'agent' else 'agent'}"},
        evaluators=[
            {
                "id": "right",
                "entrypoint": f"{users}:stuck" if who == "evaluator" else "exact_match",
            }
        ],
        optimizer={"case_timeout_seconds": 1, "epochs": 1, "proposals": 1},
    )
    result = await world.train(request)
    assert result["status"] == "completed"
    statuses = {p["case_id"]: p["status"] for p in world.payloads("training_progress")}
    assert statuses == {"k0": "scored", "k1": "timed_out", "k2": "scored", "k3": "scored"}
    if "loop" in kind:
        _end_threads()
        assert set(_left()) <= before


def _left() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "cornerman-call"]


def _end_threads() -> None:
    """Let threads that were told to end have their turn."""
    for thread in _left()[-3:]:
        thread.join(2)


STUCK = """
import asyncio, re, signal, sys
from cornerman.domain.aio import call_in_thread, leave_process, leave_threads_behind
from cornerman.flows.plumbing.signals import end_at_second

async def main():
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, lambda: None)
    end_at_second(signal.SIGTERM)
    end_at_second(signal.SIGINT)
    print("ready", flush=True)
    await call_in_thread(re.search, "(a+)+$", "a" * 60 + "!")

asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_a_process_that_answers_none(number: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STUCK], stdout=subprocess.PIPE, env=dict(os.environ)
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        for _ in range(2):
            time.sleep(0.3)  # two at the same moment count as one
            process.send_signal(number)
        assert process.wait(20) == -number


LEAVING = """
import asyncio, threading
from cornerman.domain.aio import leave_process, leave_threads_behind

async def main():
    leave_threads_behind(asyncio.get_running_loop())
    never = asyncio.ensure_future(asyncio.to_thread(threading.Event().wait))
    await asyncio.wait({never}, timeout=0.1)

asyncio.run(main())
print("done")
leave_process(3)
"""


def test_the_processs_end_waits_for_no_thread_that_never_returns() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEAVING], capture_output=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, b"done\n", b"")
