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


# Few tokens from every role: the model is slow on a busy machine, and has little to say.
_KIOSK: dict[str, Any] = {
    "id": "kiosk",
    "name": "Kiosk",
    "prompts": {"system": {"text": "You sell fruit. Answer briefly.", "requires_grad": True}},
    "limits": {"turn_limit": 4, "turn_max_tokens": 16, "referee_max_tokens": 96},
    "rubric": {
        "task": "Judge the seller.",
        "criteria": [{"name": "manner", "description": "It is polite."}],
    },
    "scenarios": [
        {
            "id": "stall",
            "description": "A fruit stall.",
            "agent_goal": "Sell an apple.",
            "persona_goal": "Buy an apple.",
        }
    ],
}
_WORDS = ("apple", "river", "stone", "cloud", "bread", "light")
_SMALL: dict[str, Any] = {
    "workflow_id": "small",
    "dataset": {
        "cases": [
            {"inputs": {"question": f"Say the word {word}."}, "expected_output": word}
            for word in _WORDS
        ]
    },
    "evaluators": [{"id": "has", "entrypoint": "contains"}],
    "prompts": {
        "system": {
            "text": "Answer in one word.",
            "requires_grad": True,
            "model_kwargs": {"max_tokens": 12},
        }
    },
    "optimizer": {"epochs": 1, "max_concurrency": 2, "case_timeout_seconds": 120},
}


def _tokens_of(ledger: list[dict[str, Any]], role: str, most_output: int) -> tuple[int, int]:
    """A role's real token counts, held to the bound that it was given."""
    row = next(row for row in ledger if row["role"] == role)
    assert row["failed"] == 0
    assert row["input_tokens"] > 10 * row["calls"]
    assert row["calls"] <= row["output_tokens"] <= most_output * row["calls"]
    return row["input_tokens"], row["output_tokens"]


def _price(*tokens: tuple[int, int]) -> Any:
    usd = sum(asked * 0.01 + answered * 0.02 for asked, answered in tokens) / 1e6
    return pytest.approx(usd, rel=1e-6)


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

    def ledger(run_id: str) -> list[dict[str, Any]]:
        return cornerman("runs", "show", run_id, "--json", env=env).json()["ledger"]

    spec, workflow, people = (tmp_path / name for name in ("spec.json", "kiosk.json", "p.jsonl"))
    spec.write_text(json.dumps(_SMALL))
    workflow.write_text(json.dumps(_KIOSK))
    people.write_text('{"name": "Ann", "system_prompt": "You are Ann. You want an apple."}\n')

    trained = cornerman("train", spec, "--json", env=env, timeout_seconds=200)
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert trained.json()["cases"] == {"scored": 6, "timed_out": 0, "errored": 0}
    assert (trained.json()["simulated"], trained.json()["model_calls"]) == (False, 6)
    asked = _tokens_of(ledger(trained.json()["run_id"]), "agent", 12)
    assert trained.json()["cost_usd"] == _price(asked)

    battled = cornerman(
        *("battle", "--workflow", workflow, "--personas", people, "--json"),
        env=env,
        timeout_seconds=220,
    )
    (battle,) = battled.json()["battles"]
    # A batch without a scored battle is failed.
    assert battled.returncode == (0 if battle["status"] == "scored" else 1), battled.stderr
    # Whether so small a referee answers in the right shape is its own affair; that the battle
    # has a row, an end and a cost is ours.
    assert battle["status"] in {"scored", "unscored"}
    assert battle["ended_by"]
    rows = ledger(battled.json()["batchId"])
    bounds = {"agent": 16, "persona": 16, "referee": 96}
    spent = [_tokens_of(rows, role, most) for role, most in bounds.items()]
    assert battled.json()["totalCost"] == battle["cost_usd"] == _price(*spent)
