"""What a paid call is, before and after it is made.

The ledger's rule: a call's worst case is reserved before it is dispatched and settled to what it
cost after. Spent plus reserved never passes a budget, in any process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Role = Literal["agent", "persona", "referee", "optimizer", "judge", "scout", "generator"]
Outcome = Literal[
    "ok",
    "cached",
    "timeout",
    "rate_limited",
    "server_error",
    "connection",
    "malformed",
    "truncated",
    "refused",
    "cancelled",
    "unknown",
]


@dataclass(frozen=True)
class CallScope:
    """For whom a call is made: which rows it belongs to and which budgets hold it.

    Args:
        run_id: The run (a training run, a batch or a scout run) that makes it.
        subject: The case, battle or step within the run, for the ledger's row.
        budgets: Limits in picodollars by budget name, such as `{"run:r1": 2 * 10**12}`. Every
            name must fit; they are checked and booked in one transaction.
        simulated: True when the rehearsal endpoint answers.
    """

    run_id: str
    subject: str = ""
    budgets: dict[str, int] = field(default_factory=dict[str, int])
    simulated: bool = False


@dataclass(frozen=True)
class CallEstimate:
    """A call about to be made. `worst_cost_pico` bounds what it may cost."""

    role: Role
    model: str
    attempt: int
    worst_cost_pico: int


@dataclass(frozen=True)
class CallOutcome:
    """What became of a call.

    Args:
        outcome: `ok`, or why there was no usable answer.
        input_tokens: As the endpoint counted them; 0 when it did not say.
        cost_pico: What to book. A failed call without usage is booked at 0 only where the
            endpoint answered with an error; a call cut off in flight is booked at its worst case.
    """

    outcome: Outcome
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    cost_pico: int = 0
    latency_ms: float = 0.0
    error: str | None = None


# Takes the session of the transaction.
Also = Callable[[Any], None]


class Meter(Protocol):
    """Books calls. `tasks` implements it on the database; tests script it."""

    async def reserve(self, scope: CallScope, call: CallEstimate) -> str:
        """Reserve a call's worst case and return the ledger row's id.

        Waits while money that is reserved by calls in flight could still come back.

        Raises:
            BudgetExceededError: It does not fit and nothing in flight could make it fit.
            KillSwitchActiveError: The kill-switch is on.
        """
        ...

    async def settle(self, call_id: str, outcome: CallOutcome, also: Also | None = None) -> None:
        """Book what a reserved call cost and release the rest. Idempotent.

        Args:
            also: Stores what was paid for, in the same transaction, so that a process that dies
                has either both or neither. Should it fail, the call is booked all the same.
        """
        ...

    async def cached(self, scope: CallScope, call: CallEstimate, cache_key: str) -> str | None:
        """Return the stored answer of an identical call and book it at cost 0, or None."""
        ...

    async def store_cached(self, cache_key: str, answer: str) -> None:
        """Keep an answer for `cached`."""
        ...

    async def output_limit(self, endpoint: str, model: str) -> int:
        """Tokens that answers of a model that thinks have needed room for; 0: nothing is known."""
        ...

    async def store_output_limit(self, endpoint: str, model: str, tokens: int) -> None:
        """Keep it for `output_limit`, of every run to come; of two the larger one stands."""
        ...
