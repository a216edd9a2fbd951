"""Slots in one process, beside other processes on the same database."""

from __future__ import annotations

import asyncio

from cornerman.storage import slots
from cornerman.storage.database import Database
from cornerman.tasks.slots import SharedSlots


def shared(db: Database, *, most: int = 8) -> SharedSlots:
    return SharedSlots(db, "case", most=most, total=8)


class Work:
    """Cases that take a slot each; counts how many run at once, over all processes."""

    def __init__(self) -> None:
        self.now = 0
        self.peak = 0

    async def case(self, held: SharedSlots, seconds: float) -> None:
        async with held:
            self.now += 1
            self.peak = max(self.peak, self.now)
            await asyncio.sleep(seconds)
            self.now -= 1


async def test_unopened_slots_are_the_process_s_own(sqlite_db: Database) -> None:
    work, own = Work(), shared(sqlite_db, most=2)
    await asyncio.gather(*(work.case(own, 0.01) for _ in range(6)))
    assert work.peak == 2


async def test_three_runs_never_pass_the_limit_together_and_all_end(sqlite_db: Database) -> None:
    work, holders = Work(), [shared(sqlite_db) for _ in range(3)]
    for number, one in enumerate(holders):
        await one.open(f"run-{number}")
    cases = [work.case(one, 0.05) for one in holders for _ in range(30)]
    await asyncio.gather(*cases)
    for one in holders:
        await one.close()
    assert work.peak <= 8
    assert work.now == 0


async def test_a_run_beside_one_that_has_ended_takes_its_slots(sqlite_db: Database) -> None:
    first, second, work = shared(sqlite_db), shared(sqlite_db), Work()
    await first.open("first")
    await second.open("second")
    assert (first.held, second.held) == (8, 0)
    waiting = [asyncio.create_task(work.case(second, 0.0)) for _ in range(8)]
    await asyncio.sleep(0)
    await first.close()
    await asyncio.wait_for(asyncio.gather(*waiting), 5)
    await second.close()


async def test_a_cancelled_case_leaves_no_slot_taken(sqlite_db: Database) -> None:
    own, work = shared(sqlite_db, most=1), Work()
    holding = asyncio.create_task(work.case(own, 30))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(work.case(own, 0))
    await asyncio.sleep(0)
    waiting.cancel()
    holding.cancel()
    await asyncio.gather(waiting, holding, return_exceptions=True)
    await asyncio.wait_for(work.case(own, 0), 1)


async def test_closing_gives_everything_back(sqlite_db: Database) -> None:
    own = shared(sqlite_db)
    await own.open("run")
    await own.close()
    await own.close()
    state = await sqlite_db.read(slots.read_slots, "case")
    assert (state.held, state.demands) == ({}, {})
