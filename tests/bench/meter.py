"""What the meter adds to a model call: the same calls straight, and through it, by turns.

`make bench-meter`, or `python -m tests.bench.meter --calls 300`; a scripted endpoint answers after
5 ms in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import openai
from pydantic import SecretStr

from cornerman.clients.booking import Booking
from cornerman.clients.llm_types import LLMEndpoint
from cornerman.clients.prices import PriceBook
from cornerman.domain.money import Price
from cornerman.domain.money.ledger import CallEstimate, CallOutcome, CallScope
from cornerman.meter.accounts import RunAccount
from cornerman.meter.server import meter_server
from cornerman.storage import traces
from cornerman.storage.database import Database, migrate
from cornerman.tasks.meter import DatabaseMeter
from tests.storage.samples import make_run

ROOT = Path(__file__).resolve().parents[2]
MESSAGES: Any = [{"role": "system", "content": "x" * 500}]
SCOPE = CallScope("r", "case:c0/1/0", {"run:r": 10**15})


async def measure(folder: Path, address: str, calls: int) -> dict[str, float]:
    """Medians in milliseconds: straight, through the meter, and the ledger's two commits alone."""
    db = Database(f"sqlite:///{folder / 'bench.db'}")
    migrate.upgrade(db)
    make_run(db)
    meter = DatabaseMeter(db)
    account = RunAccount(
        "r",
        endpoint=LLMEndpoint(address, SecretStr("k" * 20), False, PriceBook({"m": Price(1, 2)})),
        anthropic=None,
        meter=meter,
        scope=lambda subject: SCOPE,
        check=lambda: None,
        stop=lambda error: None,
        record=traces.create_trace,
    )
    meter_server().open(account)
    key = account.open_key(SCOPE.subject).token
    straight = openai.AsyncOpenAI(base_url=address, api_key="x")
    metered = openai.AsyncOpenAI(base_url=meter_server().openai_url, api_key=key)
    booking = Booking(meter)
    took: dict[str, list[float]] = {"straight": [], "metered": [], "ledger": []}

    async def book() -> None:
        call = await booking.reserve(SCOPE, CallEstimate("agent", "m", 1, 1000))
        await booking.settle(call, CallOutcome("ok", cost_pico=10))

    async def ask(client: openai.AsyncOpenAI) -> None:
        await client.chat.completions.create(model="m", max_tokens=10, messages=MESSAGES)

    for number in range(calls + 20):
        for name, work in (
            ("straight", ask(straight)),
            ("metered", ask(metered)),
            ("ledger", book()),
        ):
            began = time.perf_counter()
            await work
            if number >= 20:
                took[name].append((time.perf_counter() - began) * 1000)
    return {name: statistics.median(values) for name, values in took.items()}


def main() -> None:
    """Print what was measured as one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=300)
    calls = parser.parse_args().calls
    command = [sys.executable, "tests/support/llm_standin.py", "--port", "0", "--latency-ms", "5"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert server.stdout is not None
    try:
        line = server.stdout.readline().strip()
        address = json.loads(line)["base_url"] if line.startswith("{") else line
        with tempfile.TemporaryDirectory() as folder:
            found = asyncio.run(measure(Path(folder), address, calls))
    finally:
        server.kill()
    adds = found["metered"] - found["straight"]
    found |= {"adds": adds, "endpoint": adds - found["ledger"]}
    print(json.dumps({name: round(value, 2) for name, value in found.items()}))
    sys.stdout.flush()
    os._exit(0)  # the meter's thread lives as long as its process


if __name__ == "__main__":
    main()
