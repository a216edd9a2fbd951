"""A process to be killed: `python -m tests.storage.write_forever URL` writes until it dies.

Each write is an event and a ledger booking in one transaction; its seq is printed once the
database has acknowledged it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from cornerman.domain.money.ledger import CallOutcome
from cornerman.domain.runs import NewEvent
from cornerman.storage import events, ledger
from cornerman.storage.database import Database
from tests.storage.samples import estimate, scope


def write(session: Any, key: str) -> int:
    call_id = ledger.reserve_call(session, scope({"day": 10**9}), estimate(10))
    assert call_id is not None
    ledger.settle_call(session, call_id, CallOutcome("ok", cost_pico=3))
    event = events.create_event(session, "r", NewEvent("agentensor_trainer", "x", {}, key))
    assert event is not None
    return event.seq


async def keep_writing(db: Database, who: int) -> None:
    number = 0
    while True:
        number += 1
        seq = await db.write(write, f"{os.getpid()}-{who}-{number}")
        os.write(1, f"{seq}\n".encode())


async def main(url: str) -> None:
    db = Database(url)
    await asyncio.gather(*(keep_writing(db, who) for who in range(5)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
