"""The meter on the database: books calls where every process sees them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import uuid
from collections import defaultdict
from collections.abc import Callable, Generator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from cornerman.domain.errors import StorageError
from cornerman.domain.money.ledger import Also, CallEstimate, CallOutcome, CallScope
from cornerman.storage import ledger, output_limits, steps
from cornerman.storage.database import Database

# How long to let calls in flight settle before asking again. Each asking is a transaction, and
# many may wait.
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 0.5

_tell_wait: ContextVar[Callable[[float], None] | None] = ContextVar("tell_wait", default=None)


@contextlib.contextmanager
def telling_waits(tell: Callable[[float], None]) -> Generator[None]:
    """Call `tell(seconds)` before calls made inside wait for money that others have reserved.

    A case must not be timed out because the budget lets fewer cases run at once.
    """
    token = _tell_wait.set(tell)
    try:
        yield
    finally:
        _tell_wait.reset(token)


@dataclass
class Tally:
    """What one subject (a case, a battle) has cost since it was last asked for."""

    cost_pico: int = 0
    calls: int = 0


class DatabaseMeter:
    """Reserves before a call and settles after it; see `cornerman.domain.money.ledger.Meter`."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._open: dict[str, CallScope] = {}
        self._tallies: defaultdict[tuple[str, str], Tally] = defaultdict(Tally)
        # The metering endpoint books in a thread of its own.
        self._lock = threading.Lock()

    async def reserve(self, scope: CallScope, call: CallEstimate) -> str:
        call_id, pause = uuid.uuid4().hex, _FIRST_PAUSE_SECONDS
        # Named here, so that a commit whose answer was lost does not book the call twice.
        while await self._db.write(ledger.reserve_call, scope, call, call_id=call_id) is None:
            if (tell := _tell_wait.get()) is not None:
                tell(pause)
            await asyncio.sleep(pause)
            pause = min(1.5 * pause, _LONGEST_PAUSE_SECONDS)
        with self._lock:
            self._open[call_id] = scope
        return call_id

    async def settle(self, call_id: str, outcome: CallOutcome, also: Also | None = None) -> None:
        with self._lock:
            scope = self._open.pop(call_id, None)
            if scope is not None:
                tally = self._tallies[scope.run_id, scope.subject]
                tally.cost_pico += outcome.cost_pico
                tally.calls += 1
        try:
            await self._db.write(_settle, call_id, outcome, also)
        except StorageError:
            raise
        except Exception:
            # Whatever could not be stored beside it, the money is spent.
            await self._db.write(ledger.settle_call, call_id, outcome)
            raise

    async def cached(self, scope: CallScope, call: CallEstimate, cache_key: str) -> str | None:
        answer = await self._db.read(steps.read_cached_answer, cache_key)
        if answer is not None:
            await self._db.write(ledger.create_cached_call, scope, call)
            with self._lock:
                self._tallies[scope.run_id, scope.subject].calls += 1
        return answer

    async def store_cached(self, cache_key: str, answer: str) -> None:
        await self._db.write(steps.create_cached_answer, cache_key, answer)

    async def output_limit(self, endpoint: str, model: str) -> int:
        return await self._db.read(output_limits.read_output_limit, endpoint, model)

    async def store_output_limit(self, endpoint: str, model: str, tokens: int) -> None:
        await self._db.write(output_limits.raise_output_limit, endpoint, model, tokens)

    def take_tally(self, run_id: str, subject: str) -> Tally:
        """What the subject's calls cost since the last asking; forgets it."""
        with self._lock:
            return self._tallies.pop((run_id, subject), Tally())


def _settle(session: Any, call_id: str, outcome: CallOutcome, also: Also | None) -> None:
    ledger.settle_call(session, call_id, outcome)
    if also is not None:
        also(session)
