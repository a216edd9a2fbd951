"""What `train` says once it is done: what changed, and what to type next."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from cornerman.cli import after_training
from cornerman.cli.after_training import say_next
from cornerman.cli.output import Out, make_console
from cornerman.cli.store import database
from cornerman.domain.training.candidates import Candidate, Prompt
from cornerman.storage.cases import create_candidate
from cornerman.storage.database import migrate
from cornerman.storage.runs import create_run
from cornerman.storage.workflows import create_workflow


@pytest.fixture
def said(cornerman_home: Path) -> Any:
    """A function that tells of a run which began with a prompt of 40 words."""
    text = "Label the message. " + "Be brief and kind to all. " * 8
    with database(any_schema=True) as db:
        migrate.upgrade(db)
        with db.writing() as session:
            create_workflow(session, "labels")
            create_run(
                session,
                run_id="r",
                kind="train",
                workflow_id="labels",
                request={},
                random_state={},
                simulated=True,
            )
            start = {"system": Prompt(text=text, requires_grad=True)}
            create_candidate(session, "r", Candidate(id="c0", prompts=start, epoch=1))

    def tell(**changes: Any) -> str:
        stream = io.StringIO()
        out = Out(as_json=False)
        out.text = make_console(stream)
        best = {"id": "22222222-x", "metadata": {"candidate_id": "c2-1"}}
        first = {"id": "11111111-x", "metadata": {"candidate_id": "c0"}}
        result: dict[str, Any] = {
            "run_id": "r",
            "best_checkpoint": best,
            "checkpoints": [first, best],
            "prompts": {"system": {"text": text.replace("message", "parcel")}},
            "improvement": {"unchanged": False, "remark": "3 test cases show nothing."},
        }
        say_next(out, result | changes)
        return stream.getvalue()

    return tell


def test_it_shows_the_change_and_the_commands(said: Any) -> None:
    text = said()
    assert "Label the [-message-]{+parcel+}." in text and " … " in text
    assert "cornerman report r -o r.html" in text
    assert "cornerman checkpoints diff 11111111 22222222" in text
    assert "cornerman checkpoints export 22222222" in text
    assert "3 test cases show nothing." in text
    assert len(text.splitlines()) < 12


def test_it_names_no_change_where_there_is_none(said: Any) -> None:
    text = said(improvement={"unchanged": True}, best_checkpoint=None)
    assert "Unchanged" in text and "Changed in" not in text
    assert "cornerman report r" in text and "checkpoints" not in text


def test_a_long_change_is_cut(said: Any) -> None:
    text = said(prompts={"system": {"text": "word " * 2_000}})
    assert len(text) < after_training._MOST_CHARS + 600  # pyright: ignore
