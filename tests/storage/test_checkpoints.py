"""Checkpoints: versions without gaps, one best, moved only by what earned it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from cornerman.domain.errors import NotFoundError
from cornerman.domain.training.candidates import Checkpoint
from cornerman.storage import checkpoints
from cornerman.storage.database import Database, types
from cornerman.storage.tables import agentensor_checkpoints
from tests.storage.samples import new_checkpoint


def store(db: Database, checkpoint_id: str, **values: Any) -> Checkpoint:
    with db.writing() as session:
        return checkpoints.create_checkpoint(session, new_checkpoint(checkpoint_id, **values))[0]


def best(db: Database, workflow_id: str = "w") -> str | None:
    with db.reading() as session:
        found = checkpoints.read_best_checkpoint(session, workflow_id)
    return found.id if found else None


def test_versions_count_up_from_one_in_each_workflow(db: Database):
    made = [store(db, f"{w}{n}", workflow_id=w) for n in range(3) for w in ("w", "v")]
    assert [c.config_version for c in made] == [1, 1, 2, 2, 3, 3]


def test_storing_again_gives_what_is_there(db: Database):
    first = store(db, "a", score=0.5)
    with db.writing() as session:
        again, stored = checkpoints.create_checkpoint(session, new_checkpoint("a", score=0.9))
    assert (again, stored) == (first, False)
    assert store(db, "b").config_version == 2


def test_the_database_itself_refuses_a_second_best_and_a_second_version(db: Database):
    store(db, "a", score=0.5)
    store(db, "b", score=0.4)
    for values in ({"is_best": True}, {"config_version": 1}):
        with pytest.raises(IntegrityError), db.writing() as session:
            session.execute(update(agentensor_checkpoints).values(values))


def test_a_better_score_takes_the_best_and_a_tie_does_not(db: Database):
    assert [store(db, name, score=score).is_best for name, score in [("a", 0.5), ("b", 0.5)]] == [
        True,
        False,
    ]
    assert store(db, "c", score=0.51).is_best
    assert not store(db, "d", score=0.2).is_best
    assert best(db) == "c"


def test_a_score_on_another_dataset_does_not_take_the_best(db: Database):
    store(db, "a", score=0.5)
    other = store(db, "b", score=0.9, fingerprint="other")
    assert best(db) == "a"
    assert "another dataset" in other.metadata["best_decision"]


def test_no_score_takes_no_best(db: Database):
    assert not store(db, "a").is_best
    assert store(db, "b", score=0.0).is_best


def test_a_workflows_best_is_its_own(db: Database):
    store(db, "a", score=0.9)
    store(db, "b", score=0.1, workflow_id="v")
    assert (best(db), best(db, "v"), best(db, "absent")) == ("a", "b", None)


def test_pointing_the_best_elsewhere_keeps_the_reason(db: Database):
    for name, score in [("a", 0.1), ("b", 0.2)]:
        store(db, name, score=score)
    with db.writing() as session:
        for _ in range(2):
            checkpoints.update_best(session, "w", "a", reason="b was rude", by="ann")
        moves = checkpoints.read_best_moves(session, "w")
    assert best(db) == "a"
    told = [(m["checkpoint_id"], m["previous_id"], m["by"]) for m in moves]
    assert told == [("a", None, "training"), ("b", "a", "training"), ("a", "b", "ann")]
    assert moves[-1]["reason"] == "b was rude"


@pytest.mark.parametrize("target", ["absent", "theirs"])
def test_the_best_cannot_be_pointed_at_what_the_workflow_lacks(db: Database, target: str):
    store(db, "a", score=0.1)
    store(db, "theirs", workflow_id="v")
    with pytest.raises(NotFoundError, match=f"no checkpoint '{target}'"), db.writing() as session:
        checkpoints.update_best(session, "w", target, reason="x", by="ann")
    assert best(db) == "a"


def test_checkpoints_are_listed_newest_first_and_filtered(db: Database):
    for n in range(1, 7):
        store(db, f"c{n}", score=0.3 if n == 2 else 0.1, run_id="even" if n % 2 == 0 else "odd")

    def versions(**filters: Any) -> list[int]:
        with db.reading() as session:
            found = checkpoints.read_checkpoints(session, "w", **filters)
        return [c.config_version for c in found]

    assert versions() == [6, 5, 4, 3, 2, 1]
    assert versions(limit=2) == [6, 5]
    assert versions(before=3) == [2, 1]
    assert versions(best=True) == [2]
    assert versions(best=False, limit=3) == [6, 5, 4]
    assert versions(run_id="even", limit=2) == [6, 4]
    assert versions(run_id="even", before=4) == [2]
    assert versions(run_id="absent") == []


def test_a_checkpoint_is_found_by_id_within_its_workflow(db: Database):
    store(db, "a")
    with db.reading() as session:
        assert checkpoints.read_checkpoint(session, "w", "a") is not None
        assert checkpoints.read_checkpoint(session, "v", "a") is None


@pytest.mark.parametrize(
    ("prefix", "found"),
    [("cp-1", "cp-1"), ("cp-10", "cp-10"), ("x", "xY_z"), ("cp", None), ("XY", None), ("x%", None)],
)
def test_a_checkpoint_is_found_by_the_only_id_that_begins_so(
    db: Database, prefix: str, found: str | None
):
    for name in ("cp-1", "cp-10", "xY_z"):
        store(db, name)
    with db.reading() as session:
        checkpoint = checkpoints.find_checkpoint(session, prefix)
    assert (checkpoint.id if checkpoint else None) == found


def test_a_later_version_is_never_older(db: Database, monkeypatch: pytest.MonkeyPatch):
    first = store(db, "a")
    monkeypatch.setattr(checkpoints, "now", lambda: types.now() - timedelta(hours=1))
    assert store(db, "b").created_at == first.created_at


def test_a_checkpoint_is_shown_as_the_api_gives_it(db: Database):
    shown = store(db, "a", score=0.5).as_dict()
    names = "id workflow_id config_version runnable_config metrics metadata artifact_url is_best"
    assert list(shown) == [*names.split(), "created_at"]
    assert shown["metadata"]["run_id"] == "r"
