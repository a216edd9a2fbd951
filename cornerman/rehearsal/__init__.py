"""The rehearsal endpoint: a simulated OpenAI-compatible server for trying things without a key.

Nothing that it says comes from a language model. Every completion carries
`"system_fingerprint": "simulated"`, and its models are named `rehearsal-<role>`. Its agent
follows rules that its prompt states (see `rules` and `landscapes`), so an optimizer has something
real to discover. A reply is a pure function of the server's seed and the request's content.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

SIMULATED_FINGERPRINT = "simulated"

_PACKAGE_ROOT = Path(__file__).resolve().parents[2]
_START_SECONDS = 20.0
_STOP_SECONDS = 2.0


@dataclass(frozen=True)
class RehearsalEndpoint:
    """A running endpoint; `base_url` goes to any OpenAI client, with any key."""

    base_url: str
    process_id: int


@contextlib.asynccontextmanager
async def rehearsal_endpoint(
    seed: int = 0, latency_ms: float = 20.0, jitter_ms: float = 0.0
) -> AsyncGenerator[RehearsalEndpoint, None]:
    """Run the endpoint as a subprocess on a free loopback port while the block lasts.

    The subprocess ends with the block, and also by itself when this process dies.

    Raises:
        RuntimeError: The subprocess did not start.
    """
    process = await asyncio.create_subprocess_exec(
        *_command(seed, latency_ms, jitter_ms),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        # The package is found from here even when it is not installed.
        cwd=_PACKAGE_ROOT,
        # Ctrl-C is the parent's to answer; this one ends with it.
        start_new_session=True,
    )
    try:
        yield RehearsalEndpoint(await _read_base_url(process), process.pid)
    finally:
        await _stop(process)


def _command(seed: int, latency_ms: float, jitter_ms: float) -> list[str]:
    # -S: the server needs nothing but the standard library, and starts faster without the rest.
    return [
        sys.executable, "-S", "-m", "cornerman.rehearsal", "--with-parent",
        "--seed", str(seed), "--latency-ms", str(latency_ms), "--jitter-ms", str(jitter_ms),
    ]  # fmt: skip


async def _read_base_url(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), _START_SECONDS)
        return str(json.loads(line)["base_url"])
    except (TimeoutError, ValueError, KeyError) as error:
        raise RuntimeError("The rehearsal endpoint did not start; see its error output.") from error


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), _STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
