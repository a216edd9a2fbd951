"""What the tests of training share: a home with a database, users' modules, scripted models."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from cornerman.domain.runs import Event, Run
from cornerman.domain.training import TrainParameters
from cornerman.settings import get_settings, reset_settings
from cornerman.storage import events, runs
from cornerman.storage.database import Database
from tests.support.llm_standin import Reply

MODEL_KEY = "sk-standin-0123456789abcdef"
_module_numbers = itertools.count()


def cases_of(count: int, levels: int = 4) -> list[dict[str, Any]]:
    """Cases that an agent passes once its prompt's LEVEL is at least theirs."""
    return [
        {"id": f"k{n}", "inputs": {"need": 1 + n % levels}, "expected_output": "yes"}
        for n in range(count)
    ]


def request_of(count: int = 4, *, evaluator: str = "exact_match", **changes: Any) -> dict[str, Any]:
    """A training request; `changes` replace fields, those of `optimizer` one by one."""
    optimizer = {"epochs": 1, "proposals": 1, "minibatch_size": 3} | changes.pop("optimizer", {})
    return {
        "workflow_id": "climb",
        "dataset": {"cases": cases_of(count)},
        "evaluators": [{"id": "right", "entrypoint": evaluator}],
        "optimizer": optimizer,
        "prompts": {"system": {"text": "LEVEL 1", "requires_grad": True}},
    } | changes


def climb(request: dict[str, Any], n: int) -> Reply:
    """A model whose answers get better with the prompt's LEVEL, and which raises it by one."""
    if is_judge(request):
        return Reply(text='{"reason": "fine", "score": 0.5}')
    said = [str(message["content"]) for message in request["messages"]]
    level = int(re.findall(r"LEVEL (\d+)", "\n".join(said))[0])
    if is_optimizer(request):
        return Reply(text=f"<rewrite>LEVEL {level + 1}</rewrite>")
    need = int(re.findall(r"\d+", said[-1])[0])
    return Reply(text="yes" if level >= need else "no")


def is_optimizer(request: dict[str, Any]) -> bool:
    return "You improve one prompt" in str(request["messages"][0]["content"])


def is_judge(request: dict[str, Any]) -> bool:
    return "strict grader" in str(request["messages"][0]["content"])


# The same climb without a model: agent, and an optimizer that any of the tests' modules may use.
CLIMBING_AGENT = """
import re

def agent(inputs, prompts, context):
    level = int(re.findall(r"LEVEL (\\d+)", prompts["system"])[0])
    return "yes" if level >= inputs["need"] else "no"
"""


@dataclass
class World:
    """One home, one database, and what users would have installed."""

    home: Path
    folder: Path
    monkeypatch: pytest.MonkeyPatch
    _databases: list[Database] = field(default_factory=list)

    def set(self, **env: str) -> None:
        """Set variables of the environment and have the settings read them."""
        for name, value in env.items():
            self.monkeypatch.setenv(name, value)
        reset_settings()

    def use_model(self, base_url: str, **env: str) -> None:
        """Have a scripted server answer in place of the rehearsal endpoint."""
        self.set(OPENAI_BASE_URL=base_url, OPENAI_API_KEY=MODEL_KEY, **env)

    def module(self, source: str) -> str:
        """Write a user's module, allow it, and return its name."""
        name = f"users_{next(_module_numbers)}"
        (self.folder / f"{name}.py").write_text(textwrap.dedent(source))
        if str(self.folder) not in sys.path:
            self.monkeypatch.syspath_prepend(str(self.folder))
        allowed = [*get_settings().evaluator_modules, name]
        self.set(EVALUATOR_MODULES=",".join(allowed))
        return name

    def agent(self, source: str, name: str = "agent") -> dict[str, Any]:
        """A user's agent, as `graph_config`."""
        return {"entrypoint": f"{self.module(source)}:{name}"}

    async def train(self, request: dict[str, Any], run_id: str = "r1") -> dict[str, Any]:
        """Run a training in this process."""
        from cornerman.flows.train import train_workflow

        return await train_workflow(TrainParameters(**request, run_id=run_id))

    async def evaluate(self, request: dict[str, Any], run_id: str = "e1") -> dict[str, Any]:
        """Run an evaluation in this process."""
        from cornerman.domain.training.evaluation import EvaluateParameters
        from cornerman.flows.evaluate import evaluate_workflow

        return await evaluate_workflow(EvaluateParameters(**request, run_id=run_id))

    @property
    def db(self) -> Database:
        if not self._databases:
            self._databases.append(Database(get_settings().database_url().url.get_secret_value()))
        return self._databases[0]

    def close(self) -> None:
        for database in self._databases:
            database.close()

    # -- what is stored

    def run(self, run_id: str = "r1") -> Run:
        with self.db.reading() as session:
            found = runs.read_run(session, run_id)
        assert found is not None
        return found

    def events(self, name: str = "", run_id: str = "r1") -> list[Event]:
        """The run's events of a name, or all; their numbers have no gaps."""
        with self.db.reading() as session:
            found = events.read_events(session, run_id, limit=10_000)
        assert [event.seq for event in found] == list(range(1, len(found) + 1))
        return [event for event in found if name in ("", event.event)]

    def payloads(self, name: str, run_id: str = "r1") -> list[dict[str, Any]]:
        return [event.payload for event in self.events(name, run_id)]

    def rows(self, query: str, **values: Any) -> list[dict[str, Any]]:
        with self.db.reading() as session:
            return [dict(row) for row in session.execute(text(query), values).mappings()]

    def dump(self) -> str:
        """Everything in the database, as text."""
        with self.db.reading() as session:
            tables = session.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'"))
            names = [row[0] for row in tables]
        return json.dumps([self.rows(f"SELECT * FROM {name}") for name in names], default=str)


@pytest.fixture
def world(
    cornerman_home: Path, sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    """A home whose database is there already: to make one takes a second."""
    cornerman_home.mkdir()
    shutil.copyfile(sqlite_template, cornerman_home / "cornerman.db")
    monkeypatch.setenv("REHEARSAL_LATENCY_MS", "0")
    reset_settings()
    made = World(cornerman_home, tmp_path, monkeypatch)
    yield made
    made.close()
    reset_settings()


Trainer = Callable[..., Any]
