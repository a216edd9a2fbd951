"""The command in this process, and a home in which something has happened."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from cornerman.cli.main import run
from cornerman.settings import reset_settings
from tests.support.command import Finished, run_cornerman

SPEC: dict[str, Any] = {
    "workflow_id": "labels",
    "dataset": {
        "cases": [
            {"inputs": {"message": f"Where is parcel {n}?"}, "expected_output": "delivery"}
            for n in range(6)
        ]
    },
    "evaluators": [{"id": "same", "entrypoint": "exact_match"}],
    "optimizer": {"epochs": 2, "max_concurrency": 10, "proposals": 1, "minibatch_size": 3},
    "prompts": {"system": {"text": "Label the message.", "requires_grad": True}},
}


@dataclass
class Printed:
    """What a command in this process came to."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def fresh_settings() -> Iterator[None]:
    """Settings are read once a process; each test has its own home."""
    reset_settings()
    yield
    reset_settings()


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Printed]:
    """Run a command in this process; not for those that need a Prefect server."""

    def call(*arguments: str | Path) -> Printed:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return Printed(code, printed.out, printed.err)

    return call


def write_spec(folder: Path, **changes: Any) -> Path:
    """Write the spec with some of its parts replaced."""
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump(SPEC | changes), encoding="utf-8")
    return path


@dataclass
class Played:
    """A home in which a training run and a batch ended."""

    home: Path
    trained: Finished
    battled: Finished


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Run `train` and `battle` once, with the rehearsal endpoint; read only, please."""
    folder = tmp_path_factory.mktemp("played")
    home = folder / "home"

    def call(*arguments: str | Path) -> Finished:
        return run_cornerman(*arguments, "--json", home=home, cwd=folder)

    trained = call("train", write_spec(folder), "--run-id", "train-played")
    battled = call("battle", "--batch-size", "2")
    return Played(home, trained, battled)


@pytest.fixture
def played_home(played: Played, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point this process at the played home."""
    monkeypatch.setenv("CORNERMAN_HOME", str(played.home))
    reset_settings()
    return played.home
