"""`cornerman init` writes what trains at once, and overwrites nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from cornerman.cli.commands.init import AGENTS
from cornerman.cli.main import run
from cornerman.cli.workflow_files import parse_workflow_file
from cornerman.domain.datasets.load import load_cases
from cornerman.domain.training.parse import parse_train_spec


@pytest.mark.parametrize("agent", AGENTS)
def test_what_is_written_is_a_whole_request(
    agent: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "made"
    assert run(["init", str(folder), "--agent", agent, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {path.name for path in folder.iterdir()} == set(told["files"])
    assert told["next"][-1] == "cornerman train workflow.yaml"
    workflow, people = parse_workflow_file((folder / "workflow.yaml").read_text(), "workflow.yaml")
    assert workflow.has_own_agent and len(people) == 5
    spec = parse_train_spec(yaml.safe_load((folder / "spec.yaml").read_text()), source="cli")
    assert len(load_cases(spec.dataset, folder)) == 40
    source = (folder / "my_agent.py").read_text()
    compile(source, "my_agent.py", "exec")
    code = source.split('"""', 2)[2]
    assert len([line for line in code.splitlines() if line.strip()]) <= 20
    assert "cornerman" not in code


def test_what_is_there_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "spec.yaml").write_text("mine")
    assert run(["init", str(tmp_path)]) == 2
    assert (tmp_path / "spec.yaml").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["spec.yaml"]
    assert "spec.yaml" in capsys.readouterr().err


def test_an_unknown_framework_is_named_with_those_that_are_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(["init", str(tmp_path / "x"), "--agent", "haystack"]) == 2
    told = capsys.readouterr().err
    assert "haystack" in told and "pydantic-ai" in told and not (tmp_path / "x").exists()
