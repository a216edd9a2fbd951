"""The prompts in production: over HTTP with an ETag, in Python, and as a file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import cornerman
from cornerman import live
from cornerman.domain.errors import CornermanError, NotFoundError
from cornerman.settings import reset_settings
from cornerman.storage.checkpoints import update_best
from cornerman.storage.database import Database
from tests.gateway.samples import store_checkpoints
from tests.gateway.serving import API_TOKEN, Served
from tests.support.ports import free_port

PATH = "/api/workflows/support/prompts"


@pytest.fixture
def stored(gateway: Served) -> Served:
    store_checkpoints(gateway.db, 3)
    return gateway


@pytest.fixture(autouse=True)
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A service of its own, which has asked for nothing yet."""
    monkeypatch.setenv("API_TOKEN", API_TOKEN)
    reset_settings()
    live._kept.clear()
    live._asking.clear()
    yield
    reset_settings()


def promote(db: Database, checkpoint_id: str) -> None:
    with db.writing() as session:
        update_best(session, "support", checkpoint_id, reason="better live", by="me")


def test_the_best_prompts_are_answered_with_a_tag(stored: Served) -> None:
    answer = stored.http.get(PATH)
    assert answer.status_code == 200
    found = answer.json()
    assert (found["checkpoint_id"], found["workflow_id"]) == ("c3", "support")
    assert found["prompts"]["system"]["text"]
    tag = answer.headers["ETag"]
    again = stored.http.get(PATH, headers={"If-None-Match": f'"other", {tag}'})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    promote(stored.db, "c1")
    moved = stored.http.get(PATH, headers={"If-None-Match": tag})
    assert moved.status_code == 200 and moved.json()["reason"] == "better live"
    assert moved.headers["ETag"] != tag


def test_what_is_not_trained_is_404_and_strangers_are_refused(stored: Served) -> None:
    assert stored.http.get("/api/workflows/none/prompts").status_code == 404
    assert stored.open.get(PATH).status_code == 401


async def test_a_service_gets_texts_and_sees_a_promotion(stored: Served) -> None:
    options = {"base_url": stored.url, "max_age_seconds": 0.0}
    first = await cornerman.live_prompts("support", **options)
    assert first.checkpoint_id == "c3" and isinstance(first["system"], str)
    assert await cornerman.live_prompts("support", **options) == first
    promote(stored.db, "c1")
    assert (await cornerman.live_prompts("support", **options)).checkpoint_id == "c1"
    with pytest.raises(NotFoundError, match="no checkpoint"):
        await cornerman.live_prompts("none", **options)


async def test_an_answer_is_used_for_a_moment_without_asking(stored: Served) -> None:
    await cornerman.live_prompts("support", base_url=stored.url)
    promote(stored.db, "c1")
    began = time.perf_counter()
    kept = await cornerman.live_prompts("support", base_url=stored.url)
    assert kept.checkpoint_id == "c3" and time.perf_counter() - began < 0.05


async def test_the_last_good_answer_serves_while_the_gateway_is_away(
    stored: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cornerman.live_prompts("support", base_url=stored.url, max_age_seconds=0)
    there = live._kept["support", stored.url]
    away = f"http://127.0.0.1:{free_port()}"
    live._kept["support", away] = there
    kept = await cornerman.live_prompts("support", base_url=away)
    assert kept.checkpoint_id == "c3"


async def test_without_an_answer_a_pulled_file_serves_and_without_one_it_says_so(
    tmp_path: Path,
) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(CornermanError, match="cannot be read"):
        await cornerman.live_prompts("support", base_url=away)
    file = tmp_path / "prompts.yaml"
    file.write_text(yaml.safe_dump({"prompts": {"system": {"text": "Be kind."}}}))
    found = await cornerman.live_prompts("support", base_url=away, fallback=file)
    assert found["system"] == "Be kind."
