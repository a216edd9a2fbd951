"""docs/ci.md: its commands, its workflow's steps and its test file are run as they stand."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from cornerman.cli.main import run
from cornerman.settings import get_settings, reset_settings
from cornerman.storage import checkpoints
from cornerman.storage.checkpoints import NewCheckpoint
from cornerman.storage.database import Database

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "ci.md").read_text(encoding="utf-8")
AGENT = "def agent(inputs, prompts): return prompts['system'].text.split()[-1]"
SPEC = {
    "workflow_id": "support",
    "dataset": {
        "cases": [{"inputs": {"n": n}, "expected_output": "good"} for n in range(20)],
    },
    "evaluators": [{"id": "same", "entrypoint": "exact_match"}],
    "graph_config": {"entrypoint": "parrot_of_docs:agent"},
    "prompts": {"system": {"text": "Say good"}},
}


def blocks(kind: str) -> list[str]:
    """The fenced blocks of a kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def support(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    prefect_harness: None,
    cornerman_home: Path,
    sqlite_template: Path,
) -> Iterator[Path]:
    """The folder of a project whose best prompts say the same as its spec's."""
    from prefect.settings import PREFECT_API_URL

    cornerman_home.mkdir()
    shutil.copyfile(sqlite_template, cornerman_home / "cornerman.db")
    prices = '{"gpt-4o-mini": [1, 1], "gpt-4o": [1, 1]}'
    for name, value in (
        ("PREFECT_API_URL", str(PREFECT_API_URL.value())),
        ("EVALUATOR_MODULES", "parrot_of_docs"),
        ("MODEL_PRICES", prices),
        ("RUN_ID", "pr-1-1"),
    ):
        monkeypatch.setenv(name, value)
    (tmp_path / "parrot_of_docs.py").write_text(AGENT)
    (tmp_path / "support.yaml").write_text(yaml.safe_dump(SPEC))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    reset_settings()
    prompt = {"text": "Always say good", "requires_grad": True}
    database = Database(get_settings().database_url().url.get_secret_value())
    with database.writing() as session:
        new = NewCheckpoint("best-1", "support", {"prompts": {"system": prompt}}, {}, {})
        checkpoints.create_checkpoint(session, new)
        checkpoints.update_best(session, "support", "best-1", reason="the test's", by="test")
    database.close()
    yield tmp_path
    reset_settings()


def typed(line: str) -> list[str]:
    words = shlex.split(os.path.expandvars(line))
    assert words[0] == "cornerman"
    return words[1:]


def test_its_commands_do_what_they_say(support: Path) -> None:
    commands = [line for line in blocks("")[0].splitlines() if line]
    assert len(commands) == 4
    for line in commands:
        assert run(typed(line)) == 0, line
    assert (support / "junit.xml").exists()


def test_its_workflow_passes_and_leaves_what_it_uploads(support: Path) -> None:
    job = yaml.safe_load(blocks("yaml")[0])["jobs"]["evaluate"]
    lines = [step["run"] for step in job["steps"] if "cornerman" in step.get("run", "")]
    for line in lines:
        if line.startswith("cornerman"):
            assert run(typed(line)) == 0, line
    uploaded = next(s for s in job["steps"] if "upload-artifact" in s.get("uses", ""))
    for name in uploaded["with"]["path"].splitlines():
        assert (support / name).exists(), name


def test_its_test_file_passes(support: Path) -> None:
    (support / "test_support.py").write_text(blocks("python")[0])
    command = [sys.executable, "-m", "pytest", "--strict-markers", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=support, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout
