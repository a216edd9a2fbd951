"""The kill-switch: an append-only history whose last row is the state.

Budgets: limits with what is spent and reserved under them.

For each, `spent + reserved` never passes the limit; only `storage.ledger` changes them, in the
one writer transaction, together with a call's own row.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import BigInteger, Row, bindparam, insert, select, update
from sqlalchemy.orm import Session

from cornerman.domain.runs import BudgetState, KillSwitch
from cornerman.storage.database.types import Timestamp, now
from cornerman.storage.tables import budgets, kill_switch

_LAST = select(kill_switch).order_by(kill_switch.c.id.desc()).limit(1)


def read_kill_switch(session: Session) -> KillSwitch:
    """The switch as it stands; off when nobody ever turned it."""
    row = session.execute(_LAST).first()
    if row is None:
        return KillSwitch(active=False)
    return KillSwitch(active=row.active, reason=row.reason, by=row.by, since=row.since)


def create_kill_switch_state(session: Session, *, active: bool, reason: str, by: str) -> KillSwitch:
    """Turn the switch; turning it to where it stands keeps who turned it first, and why."""
    current = read_kill_switch(session)
    if current.active == active:
        return current
    session.execute(insert(kill_switch).values(active=active, reason=reason, by=by, since=now()))
    return read_kill_switch(session)


# Written once: building a statement costs more than running it.
_BUDGETS = select(budgets).where(budgets.c.name.in_(bindparam("names", expanding=True)))
_MOVE = (
    update(budgets)
    .where(budgets.c.name.in_(bindparam("names", expanding=True)))
    .values(
        spent_pico=budgets.c.spent_pico + bindparam("more_spent", type_=BigInteger),
        reserved_pico=budgets.c.reserved_pico + bindparam("more_reserved", type_=BigInteger),
        updated_at=bindparam("at", type_=Timestamp),
    )
    .returning(budgets)
)


def _states(rows: Iterable[Row[Any]]) -> dict[str, BudgetState]:
    return {
        row.name: BudgetState(row.name, row.limit_pico, row.spent_pico, row.reserved_pico)
        for row in rows
    }


def read_budget(session: Session, name: str) -> BudgetState | None:
    """One budget as it stands; None when nothing was ever booked on it."""
    return _states(session.execute(_BUDGETS, {"names": [name]})).get(name)


def move_budgets(
    session: Session, names: list[str], *, spent: int = 0, reserved: int = 0
) -> dict[str, BudgetState]:
    """Change budgets and return them as they stand then."""
    if not names:
        return {}
    values = {"names": names, "more_spent": spent, "more_reserved": reserved, "at": now()}
    return _states(session.execute(_MOVE, values))


def read_budgets(session: Session, names: Iterable[str]) -> dict[str, BudgetState]:
    """The budgets of these names that there are."""
    return _states(session.execute(_BUDGETS, {"names": list(names)}))


def set_limit(session: Session, name: str, limit_pico: int) -> BudgetState:
    """Create a budget, or give it another limit, and return it."""
    state = read_budget(session, name)
    if state is None:
        values = {"name": name, "limit_pico": limit_pico, "spent_pico": 0, "reserved_pico": 0}
        session.execute(insert(budgets).values(values | {"updated_at": now()}))
        return BudgetState(name, limit_pico, 0, 0)
    if state.limit_pico != limit_pico:
        session.execute(update(budgets).where(budgets.c.name == name).values(limit_pico=limit_pico))
    return BudgetState(name, limit_pico, state.spent_pico, state.reserved_pico)
