"""The eight cases that may run at once, shared with every other run on the same database.

A process holds slots in a block and hands them to its own cases without asking the database, so
a lone run pays for one transaction at its start. With other runs beside it, shares are balanced
four times a second: whoever has more than its share gives back what falls free.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque

from cornerman.domain.errors import StorageError
from cornerman.storage import slots
from cornerman.storage.database import Database

log = logging.getLogger(__name__)

CASE_TAG = "agent-case"
BALANCE_SECONDS = 0.25
_RENEW_SECONDS = slots.TTL_SECONDS / 4


class SharedSlots:
    """Slots of one process, taken with `async with`.

    Until `open` they are the process's own: nothing is shared, as in tests and benches of tasks.

    Args:
        most: Slots that this process uses at most.
        total: Slots of all processes together.
    """

    def __init__(self, db: Database, name: str, *, most: int, total: int) -> None:
        self._db = db
        self._name = name
        self._most = most
        self._total = total
        # Whether a slot is to be taken before a task begins, rather than in it: a task that waits
        # long for its slot would run into its own time-out, and hold a place that a server's tag
        # limit counts. In the task is quicker for a lone run, whose tasks wait for a moment.
        self.before_tasks = False
        self._holder = ""
        self._held = most
        self._in_use = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._keeper: asyncio.Task[None] | None = None
        self._renewed = 0.0

    @property
    def most(self) -> int:
        """Slots that this process uses at most."""
        return self._most

    @property
    def held(self) -> int:
        """Slots that this process holds now."""
        return self._held

    async def open(self, holder: str) -> None:
        """Take a share and keep it up to date until `close`."""
        self._holder = holder
        self._held = 0
        await self._balance(demand=self._most)
        self._keeper = asyncio.create_task(self._keep(), name=f"slots-{self._name}")

    async def close(self) -> None:
        """Give everything back. Idempotent."""
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
        try:
            await self._db.write(slots.delete_slots, self._name, self._holder)
        except StorageError as error:
            log.warning("The slots of %s end by themselves: %s", self._name, error)

    async def __aenter__(self) -> None:
        if self._in_use < self._held and not self._waiting:
            self._in_use += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back()  # it was given at the very moment
            raise

    async def __aexit__(self, *_: object) -> None:
        self._give_back()

    def _give_back(self) -> None:
        self._in_use -= 1
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting and self._in_use < self._held:
            turn = self._waiting.popleft()
            if not turn.done():
                self._in_use += 1
                turn.set_result(None)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(BALANCE_SECONDS)
            demand = min(self._most, self._in_use + len(self._waiting))
            try:
                if await self._is_due(demand):
                    await self._balance(demand=demand)
            except Exception:
                # A database that is away meets the cases too; nothing may end the watch.
                log.exception("The shares of %s were not balanced; it is tried again", self._name)

    async def _is_due(self, demand: int) -> bool:
        """Whether a transaction would change anything, by a look that costs next to nothing."""
        if time.monotonic() - self._renewed >= _RENEW_SECONDS:
            return True
        state = await self._db.read(slots.read_slots, self._name)
        self.before_tasks |= bool(state.demands.keys() - {self._holder})
        target = slots.wanted_slots(
            state, self._holder, total=self._total, demand=demand, in_use=self._in_use
        )
        mine = sum(owner == self._holder for owner in state.held.values())
        can_grow = mine < target and len(state.held) < self._total
        return mine != self._held or mine > target or can_grow or self._told(state, demand)

    def _told(self, state: slots.SlotState, demand: int) -> bool:
        """Whether the others ought to hear of another demand; alone there is nobody to hear."""
        others = state.demands.keys() - {self._holder}
        return bool(others) and state.demands.get(self._holder) != demand

    async def _balance(self, *, demand: int) -> None:
        in_use = self._in_use
        # What may be given back must not be handed out meanwhile.
        self._held = min(self._held, in_use)
        self._held = await self._db.write(
            slots.balance_slots,
            self._name,
            self._holder,
            total=self._total,
            demand=demand,
            in_use=in_use,
        )
        self._renewed = time.monotonic()
        self._hand_out()
