"""The nightly retraining: when it trains, when it promotes, and what it leaves behind."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cornerman.domain.battles.breakthroughs import Breakthrough
from cornerman.domain.battles.tactics import Tactic
from cornerman.domain.statistics import PairedInterval
from cornerman.domain.training.retrain import (
    RetrainParameters,
    judged,
    new_breakthroughs,
    reasons_to_train,
)
from cornerman.storage import checkpoints, notifications
from tests.support.llm_standin import LLMStandin
from tests.support.training import World, cases_of, climb, request_of, world  # noqa: F401

NIGHT = datetime(2026, 3, 1, 2, 17, tzinfo=UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the dataset lies, and a copy of the database that a training has left."""
    return tmp_path_factory.mktemp("dataset")


@pytest.fixture
async def climbing(
    world: World,  # noqa: F811
    prefect_harness: None,
    folder: Path,
) -> AsyncIterator[World]:
    """A workflow that was trained once, on a dataset in a file, and can still get better."""
    write_dataset(folder, 32)
    trained, database = folder / "trained.db", world.home / "cornerman.db"
    async with LLMStandin(climb, record=False) as server:
        world.use_model(server.base_url)
        if trained.exists():
            shutil.copyfile(trained, database)
        else:
            await world.train(request(folder))
            with contextlib.closing(sqlite3.connect(database)) as source:
                source.execute("VACUUM INTO ?", (str(trained),))
        yield world


def write_dataset(folder: Path, count: int) -> None:
    (folder / "cases.json").write_text(json.dumps(cases_of(count)))


def request(folder: Path) -> dict[str, Any]:
    return request_of(
        dataset={
            "path": str(folder / "cases.json"),
            "columns": {"inputs": "inputs", "id": "id"},
            "split": {"train": 0.25, "validation": 0.25, "test": 0.5},
        },
        optimizer={"epochs": 2, "minibatch_size": 8, "max_concurrency": 8},
    )


async def night(**given: Any) -> dict[str, Any]:
    from cornerman.flows.retrain import retrain

    done = await retrain(RetrainParameters(**given))
    [one] = done["workflows"]
    return one | {"page": Path(done["report"]).read_text()}


def best_version(world: World) -> int:  # noqa: F811
    with world.db.reading() as session:
        best = checkpoints.read_best_checkpoint(session, "climb")
    assert best is not None
    return best.config_version


async def test_nothing_new_trains_nothing_and_leaves_a_report(climbing: World) -> None:
    before = best_version(climbing)
    done = await night()
    assert (done["decision"], done["run_id"], done["cost_usd"]) == ("nothing new", None, 0.0)
    assert "neither its dataset nor its breakthroughs" in done["page"]
    assert best_version(climbing) == before


async def test_another_dataset_trains_and_promotes_what_is_surely_better(
    climbing: World, folder: Path
) -> None:
    before = best_version(climbing)
    write_dataset(folder, 64)
    done = await night()
    assert done["decision"] == "promoted", done["why"]
    assert "the dataset has changed" in done["reasons"][0]
    assert done["change"]["low"] > 0
    assert best_version(climbing) > before
    assert "climb" in Path(done["report"]).read_text()
    with climbing.db.reading() as session:
        moves = checkpoints.read_best_moves(session, "climb")
        told = [row["key"] for row in notifications.read_notifications(session)]
    assert moves[-1]["by"] == "retrain" and "better on the test split" in moves[-1]["reason"]
    assert any(key.startswith("retrain:") for key in told)
    assert (await night())["decision"] == "nothing new"


async def test_what_is_not_surely_better_is_kept_apart(climbing: World, folder: Path) -> None:
    before = best_version(climbing)
    # On so few cases nothing is sure, however good it looks.
    write_dataset(folder, 12)
    done = await night()
    assert done["decision"] == "kept", done["why"]
    assert "not surely better" in done["why"]
    assert best_version(climbing) == before


async def test_it_goes_on_from_the_best_and_obeys_its_own_limits(climbing: World) -> None:
    done = await night(force=True, epochs=1)
    assert done["reasons"] == ["it was asked for"]
    run = climbing.run(done["run_id"])
    assert run.request["prompts"]["system"]["text"] == "LEVEL 2"
    assert run.request["optimizer"]["epochs"] == 1
    assert done["decision"] == "kept"


async def test_a_dataset_that_has_gone_is_told_and_ends_nothing(
    climbing: World, folder: Path
) -> None:
    (folder / "cases.json").unlink()
    done = await night()
    assert done["decision"] == "failed"
    assert "cases.json" in done["page"]


def breakthrough(status: str, at: datetime) -> Breakthrough:
    tactic = Tactic(
        title="Anchor high", tactic="Name the first price.", snippet="80", defining_turn=1
    )
    review = {"status": status, "by": "a person", "at": at}
    facts = {"id": "b", "battle_id": "x", "batch_id": "y", "workflow_id": "w", "persona_id": "p"}
    return Breakthrough(**facts, score=97, reason="high", tactic=tactic, reviews=(review,))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "hours", "counts"),
    [("reviewed", 1, True), ("promoted", 1, True), ("rejected", 1, False), ("reviewed", -1, False)],
)
def test_breakthroughs_count_once_a_person_took_them_up(
    status: str, hours: int, counts: bool
) -> None:
    found = new_breakthroughs([breakthrough(status, NIGHT + timedelta(hours=hours))], NIGHT)
    assert bool(found) is counts
    reasons = reasons_to_train("same", "same", found)
    assert reasons == (("1 new breakthroughs: Anchor high",) if counts else ())


@pytest.mark.parametrize(
    ("change", "decision"),
    [
        (PairedInterval(0.2, 0.1, 0.3, 40, 0.001, better=True), "promoted"),
        (PairedInterval(0.2, -0.1, 0.5, 5, 0.3), "kept"),
        (PairedInterval(None, None, None, 0), "kept"),
    ],
)
def test_only_what_is_surely_better_replaces_the_best(
    change: PairedInterval, decision: str
) -> None:
    assert judged(change, "the test split")[0] == decision
