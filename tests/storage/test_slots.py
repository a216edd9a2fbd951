"""Slots that processes share."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update

from cornerman.domain.seeds import fair_shares
from cornerman.storage import slots
from cornerman.storage.database import Database
from cornerman.storage.database.types import now
from cornerman.storage.tables import leases


def balance(db: Database, holder: str, *, demand: int = 8, in_use: int = 0) -> int:
    with db.writing() as session:
        return slots.balance_slots(session, "case", holder, total=8, demand=demand, in_use=in_use)


def held(db: Database) -> dict[str, int]:
    with db.reading() as session:
        owners = list(slots.read_slots(session, "case").held.values())
    return {owner: owners.count(owner) for owner in owners}


@pytest.mark.parametrize(
    ("demands", "shares"),
    [
        ({"a": 4}, {"a": 4}),
        ({"a": 8, "b": 8, "c": 8}, {"a": 3, "b": 3, "c": 2}),
        ({"a": 1, "b": 8}, {"a": 1, "b": 7}),
        ({f"r{n}": 8 for n in range(10)}, {f"r{n}": int(n < 8) for n in range(10)}),
        ({}, {}),
    ],
)
def test_slots_are_shared_so_that_nobody_has_too_many_while_another_goes_short(
    demands: dict[str, int], shares: dict[str, int]
) -> None:
    assert fair_shares(8, demands) == shares


def test_a_lone_process_holds_what_it_wants(db: Database) -> None:
    assert balance(db, "a", demand=4) == 4
    assert held(db) == {"a": 4}


def test_one_that_comes_later_gets_its_share_once_slots_fall_free(db: Database) -> None:
    assert balance(db, "a", in_use=8) == 8
    assert balance(db, "b") == 0
    assert balance(db, "a", in_use=6) == 6
    assert balance(db, "b") == 2
    assert balance(db, "a", in_use=1) == 4
    assert balance(db, "b", in_use=2) == 4


def test_never_more_slots_are_held_than_there_are(db: Database) -> None:
    for turn in range(12):
        for holder in "abc":
            balance(db, holder, demand=8, in_use=turn % 3)
        assert sum(held(db).values()) <= 8


def test_slots_that_nobody_else_wants_stay_where_they_are(db: Database) -> None:
    assert balance(db, "a") == 8
    assert balance(db, "a", demand=0) == 8
    assert balance(db, "b", demand=2) == 0
    assert balance(db, "a", demand=0) == 6
    assert balance(db, "b", demand=2) == 2


def test_slots_of_a_dead_process_fall_free(db: Database) -> None:
    assert balance(db, "a", in_use=8) == 8
    with db.writing() as session:
        session.execute(update(leases).values(expires_at=now() - timedelta(seconds=1)))
    assert balance(db, "b") == 8


def test_everything_is_given_back(db: Database) -> None:
    balance(db, "a")
    with db.writing() as session:
        slots.delete_slots(session, "case", "a")
    assert held(db) == {}
    with db.reading() as session:
        assert slots.read_slots(session, "case").demands == {}
