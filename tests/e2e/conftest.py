"""Real processes for the tests from end to end."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ports import free_port

# llama.cpp's own server, in a process of its own so that it ends with the test.
_SERVE = """
import sys, xllamacpp as x
p = x.CommonParams()
p.model.path = sys.argv[1]
p.n_ctx, p.n_parallel = 8192, 2
p.hostnames = ["127.0.0.1"]
p.port = int(sys.argv[2])
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 1
server = x.Server(p)
sys.stdin.read()
"""


@pytest.fixture(scope="session")
def local_model_endpoint(local_model: Path) -> Iterator[str]:
    """The address of SmolLM2-135M, served by llama.cpp."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE, str(local_model), str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(300):
            assert process.poll() is None, "the model's server ended"
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as done:
                    if done.status == 200:
                        break
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait()
