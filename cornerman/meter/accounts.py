"""Whose call it is: a run's account, and a key for each of its cases."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from pydantic import SecretStr

from cornerman.clients.booking import Booking
from cornerman.clients.llm_types import LLMEndpoint
from cornerman.clients.rates import Overruns
from cornerman.domain.errors import CornermanError, KillSwitchActiveError, StopError
from cornerman.domain.money.ledger import CallScope, Meter, Role
from cornerman.domain.traces import CallTrace, PromptFinder, Recorder, ReplayQueue

KEY_PREFIX = "sk-cornerman-"
# How long a case that ends well waits for the rest of answers that its agent read in part.
DRAIN_SECONDS = 2.0
_END_SECONDS = 10.0
# Calls between two askings; an agent that makes more in one turn is beyond reading.
MOST_TRACES = 400

ANTHROPIC_URL = "https://api.anthropic.com"


@dataclass(frozen=True)
class AnthropicEndpoint:
    """Where Anthropic's Messages API answers, and the key for it."""

    base_url: str
    api_key: SecretStr | None


class CallInFlight(Protocol):
    """A call that a key is used for at this moment."""

    def cut(self, reason: CornermanError | None) -> None:
        """End it now; it is booked as what it may have cost."""
        ...

    async def over(self) -> None:
        """Wait until it is booked."""
        ...


class RunAccount:
    """One run at the meter: which budgets hold its calls, and who hears of a refusal.

    Args:
        scope: Budgets and rows of a call made now for a subject.
        check: Raises when the run must start no more work; called in the meter's thread.
        stop: Told of the error that ends the run, in the meter's thread.
        record: Stores a call's trace in the transaction that settles it; None keeps none.
    """

    def __init__(
        self,
        run_id: str,
        *,
        endpoint: LLMEndpoint,
        anthropic: AnthropicEndpoint | None,
        meter: Meter,
        scope: Callable[[str], CallScope],
        check: Callable[[], None],
        stop: Callable[[StopError], None],
        record: Recorder | None = None,
    ) -> None:
        self.run_id = run_id
        self.endpoint = endpoint
        self.anthropic = anthropic
        self.booking = Booking(meter)
        self.scope = scope
        self.check = check
        self.record = record
        self._stop = stop
        self._keys = dict[str, CaseKey]()
        self.overruns = Overruns()
        # Of model APIs that calls went to outside the meter.
        self.hosts_elsewhere = set[str]()
        self.stopped: StopError | None = None
        # Calls that came with no case's key, such as those of a thread without a context.
        self.own_key = self.open_key("run")
        self.unattributed = 0

    def open_key(
        self,
        subject: str,
        *,
        role: Role = "agent",
        prompts: PromptFinder | None = None,
        waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
        replay: ReplayQueue | None = None,
    ) -> CaseKey:
        """A key that is valid for one case or battle, until it is closed."""
        key = CaseKey(
            self, subject, role, prompts or PromptFinder({}), waiting, replay or ReplayQueue()
        )
        self._keys[key.token] = key
        return key

    def find(self, token: str) -> CaseKey | None:
        """The open key of this token."""
        return self._keys.get(token)

    def forget(self, key: CaseKey) -> None:
        """Close a key for good."""
        self._keys.pop(key.token, None)

    def refuse(self, error: StopError) -> None:
        """A call did not fit: the run must hear of it, whatever the agent makes of it."""
        self._stop(error)

    def stop_now(self, reason: StopError) -> None:
        """Refuse every further call, and cut those in flight; from any thread."""
        self.stopped = self.stopped or reason
        for key in list(self._keys.values()):
            key.cut_soon(reason)

    async def close(self) -> None:
        """End every key; what is in flight is cut and booked."""
        for key in list(self._keys.values()):
            await key.close(drain=False)


class CaseKey:
    """One case's key: what it may do ends with the case."""

    def __init__(
        self,
        account: RunAccount,
        subject: str,
        role: Role,
        prompts: PromptFinder,
        waiting: Callable[[], AbstractContextManager[None]],
        replay: ReplayQueue,
    ) -> None:
        self.token = KEY_PREFIX + secrets.token_urlsafe(24)
        self.account = account
        self.subject = subject
        self.role: Role = role
        self.prompts = prompts
        self.waiting = waiting
        self.replay = replay
        self.calls = 0
        self.refused: StopError | None = None
        # How often a request with this digest has failed: its next one is the client's retry.
        self.failed = Counter[str]()
        self.prompts_seen = set[str]()
        self.finish_reason: str | None = None
        self.last_messages: Sequence[object] = ()
        # What the agent's newest calls said, for whoever wants to know which tools it called.
        self._traces = deque[CallTrace](maxlen=MOST_TRACES)
        self._lock = threading.Lock()
        self._is_open = True
        self._flying = set[CallInFlight]()
        self._loop: asyncio.AbstractEventLoop | None = None

    def heard(self, trace: CallTrace) -> None:
        """Keep what a call said; from the meter's thread."""
        with self._lock:
            self._traces.append(trace)

    def take_traces(self) -> list[CallTrace]:
        """What the calls said since the last asking, in order; forgets it."""
        with self._lock:
            taken = list(self._traces)
            self._traces.clear()
        return taken

    def begin(self, call: CallInFlight) -> bool:
        """Register a call, in the meter's loop; False when the key is dead."""
        with self._lock:
            if self._is_open:
                self._loop = asyncio.get_running_loop()
                self._flying.add(call)
                self.calls += 1
            return self._is_open

    def end(self, call: CallInFlight) -> None:
        """A call has been booked."""
        with self._lock:
            self._flying.discard(call)

    def cut_soon(self, reason: CornermanError | None) -> None:
        """Cut the calls in flight, from any thread."""
        with self._lock:
            flying, loop = list(self._flying), self._loop
        for call in flying if loop is not None else ():
            assert loop is not None
            loop.call_soon_threadsafe(call.cut, reason)

    async def close(self, *, drain: bool) -> None:
        """Let the key do nothing more; return when every call made with it is booked.

        Args:
            drain: Give answers that are still coming a moment to end by themselves.
        """
        with self._lock:
            self._is_open = False
            flying, loop = list(self._flying), self._loop
        self.account.forget(self)
        if flying and loop is not None:
            ending = asyncio.run_coroutine_threadsafe(_end(flying, drain=drain), loop)
            await asyncio.wrap_future(ending)


async def _end(flying: list[CallInFlight], *, drain: bool) -> None:
    waits = [asyncio.ensure_future(call.over()) for call in flying]
    _, left = await asyncio.wait(waits, timeout=DRAIN_SECONDS if drain else 0)
    if left:
        for call in flying:
            call.cut(None)
        await asyncio.wait(left, timeout=_END_SECONDS)


def stop_code(error: CornermanError) -> str:
    """The code with which a call is refused."""
    if isinstance(error, KillSwitchActiveError):
        return "kill_switch_active"
    return "budget_exceeded" if error.code == "budget" else "run_stopped"
