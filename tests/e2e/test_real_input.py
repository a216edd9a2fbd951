"""Real data through the command: files as they are published, mapped by the spec alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Finished

Command = Callable[..., Finished]
_SYSTEM = {"system": {"text": "Answer the question.", "requires_grad": True}}
_DATASETS: dict[str, dict[str, Any]] = {
    "bbh/object_counting.json": {
        "dataset": {"columns": {"inputs": "input", "expected_output": "target"}},
        "evaluators": [{"id": "exact", "entrypoint": "exact_match"}],
    },
    "gsm8k/test.jsonl": {
        "dataset": {
            "columns": {"inputs": "question", "expected_output": "answer"},
            "expected_pattern": r"####\s*(\S+)",
        },
        "evaluators": [{"id": "number", "entrypoint": "numeric"}],
    },
    "banking77/test.csv": {
        "dataset": {"columns": {"inputs": "text", "expected_output": "category"}},
        "evaluators": [{"id": "intent", "entrypoint": "exact_match"}],
    },
}


def _write_spec(folder: Path, path: Path, parts: dict[str, Any], cases: int) -> Path:
    spec = {
        "workflow_id": "real",
        **parts,
        "dataset": parts["dataset"] | {"path": str(path)},
        "prompts": _SYSTEM,
        "optimizer": {"epochs": 2, "max_concurrency": 8, "proposals": 2},
        "max_cases": cases,
    }
    file = folder / "spec.json"
    file.write_text(json.dumps(spec))
    return file


@pytest.mark.slow
@pytest.mark.needs_shared_data
@pytest.mark.parametrize("name", _DATASETS)
def test_trains_on_a_published_dataset_by_its_path(
    name: str, cornerman: Command, shared_data: Path, tmp_path: Path
) -> None:
    spec = _write_spec(tmp_path, shared_data / name, _DATASETS[name], cases=30)
    done = cornerman("train", spec, "--json")
    assert done.returncode == 0, done.stderr
    result = done.json()
    assert result["status"] == "completed"
    assert result["cases"]["scored"] >= 30
    assert result["test_score"]["n"] == 6
    assert 0 <= result["test_score"]["low"] <= result["test_score"]["high"] <= 1


@pytest.mark.slow
@pytest.mark.local_model
def test_a_real_small_model_answers_cases_and_a_battle(
    cornerman: Command, local_model_endpoint: str, tmp_path: Path
) -> None:
    env = {
        "OPENAI_BASE_URL": local_model_endpoint,
        "OPENAI_API_KEY": "none-needed",
        **{f"{role}_MODEL": "smollm2" for role in ("AGENT", "PERSONA", "REFEREE", "OPTIMIZER")},
        "MODEL_PRICES": '{"smollm2": {"input": 0.01, "output": 0.02}}',
        "MAX_TRAINING_EXECUTION_TIME_MS": "180000",
    }
    spec = tmp_path / "spec.json"
    spec.write_text(
        json.dumps(
            {
                "workflow_id": "small",
                "dataset": {
                    "cases": [
                        {"inputs": {"question": f"Say the word {word}."}, "expected_output": word}
                        for word in ("apple", "river", "stone", "cloud", "bread", "light")
                    ]
                },
                "evaluators": [{"id": "has", "entrypoint": "contains"}],
                "prompts": {
                    "system": {
                        "text": "Answer in one word.",
                        "requires_grad": True,
                        "model_kwargs": {"max_tokens": 24},
                    }
                },
                "optimizer": {"epochs": 1, "max_concurrency": 2, "case_timeout_seconds": 120},
            }
        )
    )
    trained = cornerman("train", spec, "--json", env=env, timeout_seconds=200)
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert trained.json()["cases"] == {"scored": 6, "timed_out": 0, "errored": 0}
    assert trained.json()["simulated"] is False
    ledger = cornerman("runs", "show", trained.json()["run_id"], "--json", env=env).json()["ledger"]
    agent = next(row for row in ledger if row["role"] == "agent")
    assert agent["calls"] == 6
    assert agent["input_tokens"] > 6 * 10
    assert agent["output_tokens"] >= 6
    assert trained.json()["cost_usd"] == pytest.approx(
        (agent["input_tokens"] * 0.01 + agent["output_tokens"] * 0.02) / 1e6, rel=1e-6
    )
    battled = cornerman("battle", "--batch-size", "1", "--json", env=env, timeout_seconds=220)
    assert battled.returncode == 0, battled.stdout + battled.stderr
    (battle,) = battled.json()["battles"]
    # Whether so small a referee answers in the right shape is its own affair; that the battle
    # has a row, an end and a cost is ours.
    assert battle["status"] in {"scored", "unscored"}
    assert battle["ended_by"]
    assert battle["cost_usd"] > 0
