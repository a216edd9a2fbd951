"""What a run, an event and a kill-switch state are."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from cornerman.domain.money import pico_to_usd

RunKind = Literal["train", "evaluate", "battle", "scout", "judge"]
RunStatus = Literal["pending", "running", "completed", "stopped", "cancelled", "failed"]
Node = Literal["agentensor_trainer", "agentensor_evaluator", "battle_batch"]

NODES: dict[RunKind, Node] = {
    "train": "agentensor_trainer",
    "evaluate": "agentensor_evaluator",
    "battle": "battle_batch",
    "scout": "battle_batch",
    "judge": "agentensor_trainer",
}
# Kinds of runs that score cases, and that their command continues by --resume.
CASE_KINDS: frozenset[RunKind] = frozenset({"train", "evaluate"})

FINISHED: frozenset[str] = frozenset({"completed", "stopped", "cancelled", "failed"})

# A process bumps its runs' heartbeat this often; one that is silent for longer is taken for dead.
HEARTBEAT_SECONDS = 2.0
DEAD_AFTER_SECONDS = 20.0
# A run that no worker took for so long is not coming; if one does all the same, it is worked on.
WAITS_AT_MOST_SECONDS = 15 * 60.0
# MAX_CONCURRENT_CASES: many keys bear no more at once, and those that do say so there.
DEFAULT_CONCURRENT_CASES = 8
MOST_CONCURRENT_CASES = 256


@dataclass(frozen=True)
class Run:
    """One training run, evaluation, battle batch, scout run or check of a judge.

    Args:
        status: `stopped` is an end by budget, kill-switch or time limit; `stopped_by` says which.
        request: The request as it was accepted, secrets taken out.
        metrics: Live figures; `result` is there when it ended.
        owner: The process that works on it, `host:pid:token`; None when nobody does.
    """

    id: str
    kind: RunKind
    workflow_id: str
    status: RunStatus
    request: dict[str, Any]
    random_state: dict[str, Any]
    metrics: dict[str, Any]
    simulated: bool
    created_at: datetime
    last_seq: int = 0
    stopped_by: str | None = None
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    idempotency_key: str | None = None
    flow_run_id: str | None = None
    owner: str | None = None
    heartbeat_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def finished(self) -> bool:
        return self.status in FINISHED

    @property
    def best_candidate_id(self) -> str:
        """A training run's best candidate so far; its starting prompts are `c0`."""
        return str(self.metrics.get("best_candidate_id") or "c0")

    def metrics_at(self, cost_pico: int) -> dict[str, Any]:
        """The figures as they are shown, the cost as the ledger has it now.

        The stored ones are as old as the last epoch or battle, and calls were booked since.
        """
        return self.metrics | {"cost_usd": pico_to_usd(cost_pico)}


@dataclass(frozen=True)
class RunSignals:
    """What others tell the process that works on a run: that it lost it, or is to end it."""

    status: RunStatus
    owner: str | None
    cancel_requested_at: datetime | None


@dataclass(frozen=True)
class Event:
    """One line of a run's append-only log; `seq` counts from 1 without gaps."""

    run_id: str
    seq: int
    node: Node
    event: str
    payload: dict[str, Any]
    created_at: datetime

    def as_dict(self) -> dict[str, Any]:
        """The form in which readers get it."""
        return {
            "seq": self.seq,
            "node": self.node,
            "event": self.event,
            "payload": self.payload,
            "created_at": self.created_at.isoformat(),
        }


@dataclass(frozen=True)
class KillSwitch:
    """Whether paid work is stopped, by whom, why and since when."""

    active: bool
    reason: str = ""
    by: str = ""
    since: datetime | None = None

    def as_dict(self) -> dict[str, Any]:
        since = self.since.isoformat() if self.since else None
        return {"active": self.active, "reason": self.reason, "by": self.by, "since": since}


@dataclass(frozen=True)
class BudgetState:
    """One budget: `spent + reserved` never passes `limit`. All in picodollars."""

    name: str
    limit_pico: int
    spent_pico: int
    reserved_pico: int


@dataclass(frozen=True)
class NewEvent:
    """An event to append.

    Args:
        key: Unique in its run; an event whose key is there already is not appended again, so a
            resumed run does not repeat itself.
    """

    node: Node
    event: str
    payload: dict[str, Any] = field(default_factory=dict[str, Any])
    key: str | None = None


def case_subject(candidate_id: str, case_id: str, repeat: int) -> str:
    """The ledger's name for one case of one candidate."""
    return f"{cases_prefix(candidate_id)}{case_id}/{repeat}"


def cases_prefix(candidate_id: str) -> str:
    """What the ledger's names of one candidate's cases begin with."""
    return f"case:{candidate_id}/"


def candidate_of(subject: str) -> str | None:
    """The candidate in a case's ledger name; None for another subject."""
    kind, _, rest = subject.partition(":")
    return rest.partition("/")[0] if kind == "case" else None


def case_thread(run_id: str, candidate_id: str, case_id: str) -> str:
    """Names one case's conversation, to the agent and in spans."""
    return f"{run_id}/{candidate_id}/{case_id}"


def judge_subject(case_id: str) -> str:
    """The ledger's name for one labelled case that a judge is asked about."""
    return f"judge:{case_id}"


def battle_subject(battle_id: str) -> str:
    """The ledger's name for one battle."""
    return f"battle:{battle_id}"
