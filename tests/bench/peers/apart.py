"""One library's evaluation as a whole process: its time, its processors and its memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from tests.bench.training_load import AT_ONCE, ROOT, standin
from tests.support.deployed import call
from tests.support.environment import clean_environment

PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
# What the stand-in answers: the same word, in dspy's case in the form that its adapter reads.
_DSPY_ANSWER = "[[ ## answer ## ]]\nok\n\n[[ ## completed ## ]]"
_PAUSE_SECONDS = 0.05
_MIB = 2**20


def measure(library: str, home: Path, *, cases: int, seconds: float) -> dict[str, Any]:
    """Run one library on a new stand-in and count what it took, and what the stand-in saw.

    Args:
        home: Its home folder, whose growth is what it kept.
        seconds: How long the stand-in takes for an answer.

    Returns:
        `loop` and `process` with their figures, and the `versions`.
    """
    with standin(seconds, _DSPY_ANSWER if library == "dspy" else "ok") as address:
        before = _bytes_in(home)
        process, printed = _run(library, cases, _environment(home, address))
        process["kept_kib"] = (_bytes_in(home) - before) / 1024
        stats = call(f"{address.removesuffix('/v1')}/stats")
    found = json.loads(printed.splitlines()[-1])
    seen = stats["requests"], stats["max_in_flight"]
    assert seen == (cases, min(cases, AT_ONCE)), f"{library}: {seen}"
    return found | {"library": library, "process": process}


def _environment(home: Path, address: str) -> dict[str, str]:
    environment = clean_environment(os.environ, str(home)) | {
        "OPENAI_BASE_URL": address,
        "OPENAI_API_KEY": "bench",
        # Else it is fetched over the network at each import.
        "LITELLM_LOCAL_MODEL_COST_MAP": "true",
    }
    environment.pop("PYTHONUNBUFFERED", None)
    return environment


def _run(library: str, cases: int, environment: dict[str, str]) -> tuple[dict[str, float], str]:
    python = sys.executable if library == "cornerman" else str(PEERS_PYTHON)
    command = [python, "-m", "tests.bench.peers.libraries", library, str(cases)]
    # Files, since a pipe that nobody reads would hold it up.
    with tempfile.TemporaryFile("w+") as printed, tempfile.TemporaryFile("w+") as errors:
        began = time.perf_counter()
        child = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=printed, stderr=errors)
        figures = _watch(child)
        figures["wall_s"] = time.perf_counter() - began
        printed.seek(0)
        errors.seek(0)
        if child.returncode != 0:
            raise SystemExit(f"{library}: {errors.read()[-4_000:]}")
        return figures, printed.read()


def _watch(child: subprocess.Popen[bytes]) -> dict[str, float]:
    """Wait for a child; what its own children took is counted once they have ended."""
    root, peak = psutil.Process(child.pid), 0.0
    while True:
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        if pid:
            child.returncode = os.waitstatus_to_exitcode(status)
            return {"cpu_s": usage.ru_utime + usage.ru_stime, "peak_mib": peak}
        peak = max(peak, _resident_mib(root))
        time.sleep(_PAUSE_SECONDS)


def _resident_mib(root: psutil.Process) -> float:
    """Resident memory of a process and all that it started, pages that they share twice."""
    total = 0
    try:
        for process in (root, *root.children(recursive=True)):
            total += process.memory_info().rss
    except psutil.Error:
        return 0.0  # one has just ended; the next look counts
    return total / _MIB


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
