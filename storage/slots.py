"""Leases: what only one process may do at a time, given up by whoever dies.

Slots that several processes share, such as the eight cases that may run at once.

A slot is a lease, `slot:NAME:N`; whoever holds it may run one piece of work. Processes hold slots
in blocks and hand them to their own work without asking, so that a lone run pays for one
transaction. What each one wants is a lease too, `member:NAME:HOLDER`, by which the others know
what to give back. All of it expires with its process.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from cornerman.domain.seeds import fair_shares
from cornerman.storage.database.types import now, upsert
from cornerman.storage.tables import leases


def acquire_lease(session: Session, name: str, holder: str, *, ttl_seconds: float) -> str | None:
    """Take or renew a lease; returns None when it is ours, else who holds it."""
    row = session.execute(select(leases).where(leases.c.name == name)).one_or_none()
    expires_at = now() + timedelta(seconds=ttl_seconds)
    if row is None:
        session.execute(insert(leases).values(name=name, holder=holder, expires_at=expires_at))
        return None
    if row.holder != holder and row.expires_at > now():
        return row.holder
    session.execute(
        update(leases).where(leases.c.name == name).values(holder=holder, expires_at=expires_at)
    )
    return None


def read_lease_holder(session: Session, name: str) -> str | None:
    """Who holds the lease now; None when nobody does."""
    row = session.execute(select(leases).where(leases.c.name == name)).one_or_none()
    return row.holder if row is not None and row.expires_at > now() else None


def delete_lease(session: Session, name: str, holder: str) -> None:
    """Give a lease up; another's stays."""
    session.execute(delete(leases).where(leases.c.name == name, leases.c.holder == holder))


TTL_SECONDS = 20.0


@dataclass(frozen=True)
class SlotState:
    """How the slots of one name are held now.

    Args:
        held: Holder by slot number.
        demands: What each living process wants, by holder.
    """

    held: dict[int, str]
    demands: dict[str, int]


def read_slots(session: Session, name: str) -> SlotState:
    """Who holds which slot and who wants how many; what has expired does not count."""
    query = select(leases).where(
        leases.c.name.like(f"slot:{name}:%") | leases.c.name.like(f"member:{name}:%"),
        leases.c.expires_at > now(),
    )
    held, demands = dict[int, str](), dict[str, int]()
    for row in session.execute(query):
        kind, _, rest = row.name.partition(":")
        key = rest.removeprefix(f"{name}:")
        if kind == "slot":
            held[int(key)] = row.holder
        else:
            demands[key] = int(row.holder)
    return SlotState(held, demands)


def wanted_slots(state: SlotState, holder: str, *, total: int, demand: int, in_use: int) -> int:
    """How many slots a process should hold, by what all of them want.

    Slots that nobody else wants stay where they are; those at work are never given back.
    """
    mine = sum(owner == holder for owner in state.held.values())
    demands = {name: want for name, want in state.demands.items() if name != holder}
    share = fair_shares(total, demands | {holder: demand})[holder]
    others = sum(min(want, total) for want in demands.values())
    idle = max(0, total - others)
    return max(share, in_use, min(mine, idle))


def balance_slots(
    session: Session, name: str, holder: str, *, total: int, demand: int, in_use: int
) -> int:
    """Say what a process wants, and take or give back slots towards its fair share.

    Args:
        total: Slots that there are for all processes together.
        demand: Slots that it could use now.
        in_use: Slots that are at work and cannot be given back.

    Returns:
        Slots that it holds now.
    """
    moment = now()
    expires_at = moment + timedelta(seconds=TTL_SECONDS)
    session.execute(
        delete(leases).where(leases.c.name.like(f"slot:{name}:%"), leases.c.expires_at <= moment)
    )
    _put(session, f"member:{name}:{holder}", str(demand), expires_at)
    state = read_slots(session, name)
    target = wanted_slots(state, holder, total=total, demand=demand, in_use=in_use)
    mine = sorted(slot for slot, owner in state.held.items() if owner == holder)
    kept, surplus = mine[:target], mine[target:]
    free = [slot for slot in range(total) if slot not in state.held]
    taken = free[: target - len(kept)]
    for slot in surplus:
        session.execute(delete(leases).where(leases.c.name == f"slot:{name}:{slot}"))
    for slot in (*kept, *taken):
        _put(session, f"slot:{name}:{slot}", holder, expires_at)
    return len(kept) + len(taken)


def delete_slots(session: Session, name: str, holder: str) -> None:
    """Give everything back."""
    session.execute(
        delete(leases).where(leases.c.name.like(f"slot:{name}:%"), leases.c.holder == holder)
    )
    session.execute(delete(leases).where(leases.c.name == f"member:{name}:{holder}"))


def _put(session: Session, name: str, holder: str, expires_at: datetime) -> None:
    insert = upsert(session.get_bind().dialect.name, leases)
    values = {"name": name, "holder": holder, "expires_at": expires_at}
    changed = {"holder": holder, "expires_at": expires_at}
    session.execute(
        insert.values(values).on_conflict_do_update(index_elements=["name"], set_=changed)
    )
