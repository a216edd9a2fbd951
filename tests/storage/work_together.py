"""One of several processes on one workflow: `python -m tests.storage.work_together URL NAME`.

Prints what it was given, as one JSON line. It starts when a line comes in.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from typing import Any

from cornerman.domain.errors import BudgetExceededError
from cornerman.domain.money.ledger import CallOutcome
from cornerman.domain.runs import NewEvent
from cornerman.storage import checkpoints, events
from cornerman.storage.database import Database
from cornerman.tasks.meter import DatabaseMeter
from tests.storage.samples import estimate, make_run, new_checkpoint, scope

CHECKPOINTS, EVENTS, SHARED_LIMIT, MOST_A_CALL = 25, 200, 20_000, 100


async def store_checkpoints(db: Database, name: str) -> list[tuple[int, float]]:
    scores = random.Random(name)
    made = list[tuple[int, float]]()
    for number in range(CHECKPOINTS):
        score = round(scores.random(), 2)
        new = new_checkpoint(f"{name}-{number}", score=score, run_id=name)
        stored, _ = await db.write(checkpoints.create_checkpoint, new)
        made.append((stored.config_version, score))
    return made


async def write_events(db: Database, run_id: str, name: str, count: int) -> list[int]:
    async def one(number: int) -> int:
        event = NewEvent("agentensor_trainer", "x", {"by": name}, f"{name}-{number}")
        written = await db.write(events.create_event, run_id, event)
        assert written is not None
        return written.seq

    return await asyncio.gather(*(one(number) for number in range(count)))


async def spend(db: Database, name: str) -> int:
    """Make calls on the shared budget, several at once, until one is refused for good."""
    meter, costs = DatabaseMeter(db), random.Random(name)
    spent = 0

    async def caller() -> None:
        nonlocal spent
        while True:
            worst = costs.randint(1, MOST_A_CALL)
            try:
                call_id = await meter.reserve(
                    scope({"shared": SHARED_LIMIT}, run_id=name), estimate(worst)
                )
            except BudgetExceededError:
                return
            cost = costs.randint(worst // 2, worst)
            await meter.settle(call_id, CallOutcome("ok", cost_pico=cost))
            spent += cost

    await asyncio.gather(*(caller() for _ in range(3)))
    return spent


async def main(url: str, name: str) -> dict[str, Any]:
    db = Database(url)
    try:
        make_run(db, name)
        versions, own, shared, spent = await asyncio.gather(
            store_checkpoints(db, name),
            write_events(db, name, name, EVENTS // 2),
            write_events(db, "shared", name, EVENTS // 2),
            spend(db, name),
        )
        return {"versions": versions, "own": own, "shared": shared, "spent": spent}
    finally:
        await asyncio.to_thread(db.close)


if __name__ == "__main__":
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(asyncio.run(main(*sys.argv[1:]))), flush=True)
