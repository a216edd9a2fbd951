"""The command in this process, and a home in which something has happened."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
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
    """Run a command in this process; see `trained` for those that need a Prefect server."""

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


@pytest.fixture
def prefect_env(prefect_harness: None) -> dict[str, str]:
    """Have a command use the session's Prefect server: to start one of its own takes seconds."""
    from prefect.settings import PREFECT_API_URL

    return {"PREFECT_API_URL": str(PREFECT_API_URL.value())}


@pytest.fixture
def trained(
    command: Callable[..., Printed],
    prefect_harness: None,
    cornerman_home: Path,
    sqlite_template: Path,
) -> Callable[..., Printed]:
    """Run `train` in this process, in a home whose database is there already."""
    cornerman_home.mkdir()
    shutil.copyfile(sqlite_template, cornerman_home / "cornerman.db")
    return partial(command, "train")


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

    call("db", "upgrade")
    # Side by side, as most of each is starting up.
    with ThreadPoolExecutor(2) as threads:
        trained = threads.submit(call, "train", write_spec(folder), "--run-id", "train-played")
        battled = threads.submit(call, "battle", "--batch-size", "2")
    return Played(home, trained.result(), battled.result())


@pytest.fixture
def played_home(played: Played, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point this process at the played home."""
    monkeypatch.setenv("CORNERMAN_HOME", str(played.home))
    reset_settings()
    return played.home
