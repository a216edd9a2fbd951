"""New runs and continued ones."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cornerman.cli.commands.train import continued_run, new_run
from cornerman.cli.files import read_spec
from cornerman.domain.errors import BadInputError
from cornerman.domain.runs import Run
from cornerman.domain.training.parse import public_request
from tests.cli.conftest import SPEC, write_spec


def stored_run(spec: Path, **changes: Any) -> Run:
    parameters = new_run(str(spec), "r1")
    request = public_request(parameters, parameters.starting_prompts or {})
    values: dict[str, Any] = {
        "id": "r1",
        "kind": "train",
        "workflow_id": "labels",
        "status": "stopped",
        "request": request | {"dataset_fingerprint": "0"},
        "random_state": {},
        "metrics": {},
        "simulated": True,
        "created_at": datetime.now(UTC),
    }
    return Run(**values | changes)


def test_the_datasets_path_starts_from_the_specs_folder(tmp_path: Path) -> None:
    spec = write_spec(tmp_path, dataset={"path": "data/cases.jsonl"})
    assert read_spec(str(spec))["dataset"]["path"] == str(tmp_path / "data" / "cases.jsonl")


def test_a_spec_may_be_json_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(SPEC, indent="\t")))
    assert new_run("-", None).workflow_id == "labels"


def test_a_run_goes_on_with_the_request_that_was_stored(tmp_path: Path) -> None:
    run = stored_run(write_spec(tmp_path))
    parameters = continued_run(run, None)
    assert (parameters.run_id, parameters.optimizer.epochs) == ("r1", 2)


def test_a_spec_may_change_the_stops(tmp_path: Path) -> None:
    run = stored_run(write_spec(tmp_path))
    optimizer = SPEC["optimizer"] | {"epochs": 5, "max_cost_usd": 2.0}
    spec = write_spec(tmp_path, optimizer=optimizer)
    assert continued_run(run, str(spec)).optimizer.epochs == 5


def test_a_spec_may_change_nothing_else(tmp_path: Path) -> None:
    run = stored_run(write_spec(tmp_path))
    spec = write_spec(tmp_path, optimizer=SPEC["optimizer"] | {"seed": 7})
    with pytest.raises(BadInputError, match=r"optimizer\.seed"):
        continued_run(run, str(spec))


def test_secrets_are_asked_for_again(tmp_path: Path) -> None:
    http = {"url": "http://127.0.0.1:9/agent", "headers": {"Authorization": "Bearer abc"}}
    spec = write_spec(tmp_path, graph_config={"http": http})
    run = stored_run(spec)
    with pytest.raises(BadInputError, match="secrets"):
        continued_run(run, None)
    again = continued_run(run, str(spec))
    assert again.graph_config is not None and again.graph_config.http is not None
    assert again.graph_config.http.headers == http["headers"]


def test_a_batch_cannot_be_resumed_as_training(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="battle run"):
        continued_run(stored_run(write_spec(tmp_path), kind="battle"), None)
