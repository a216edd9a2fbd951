"""A real small model learns from examples: banking77's messages, from nothing to something."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bench.real_tasks import DATA, load_task
from tests.support.absent import absent
from tests.support.command import Finished


@pytest.mark.slow
@pytest.mark.local_model
def test_few_shot_makes_a_real_model_better_on_cases_that_it_never_saw(
    cornerman: Callable[..., Finished], local_model_endpoint: str, tmp_path: Path
) -> None:
    if not DATA.exists():
        absent("../shared/data is not there, and real messages are what this is about")
    task = load_task("banking77, 4 topics", 0)
    cases = [
        {"id": case.id, "inputs": case.inputs, "expected_output": case.expected_output}
        for case in (*task.split.train[:12], *task.split.validation[:8], *task.split.test[:16])
    ]
    spec = {
        "workflow_id": "topics",
        "dataset": {
            "cases": cases,
            "split": {"train": 12 / 36, "validation": 8 / 36, "test": 16 / 36},
        },
        "evaluators": [{"id": "right", "entrypoint": "contains"}],
        "prompts": {"system": task.prompts["system"].model_dump(mode="json")},
        "optimizer": {"strategy": "few_shot", "epochs": 2, "demos": {"max": 4}},
    }
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    env = {
        "OPENAI_BASE_URL": local_model_endpoint,
        "OPENAI_API_KEY": "none-needed",
        "AGENT_MODEL": "smollm2",
        "MODEL_PRICES": '{"smollm2": {"input": 0.01, "output": 0.02}}',
        "MAX_TRAINING_EXECUTION_TIME_MS": "400000",
    }
    done = cornerman("train", tmp_path / "spec.json", "--json", env=env, timeout_seconds=400)
    assert done.returncode == 0, done.stdout + done.stderr
    result = done.json()
    assert result["simulated"] is False
    learned = result["best_checkpoint"]["runnable_config"]["prompts"]["system"]
    assert 1 <= len(learned["demos"]) <= 4
    assert result["improvement"]["mean"] > 0.1
    assert result["improvement"]["low"] > 0
    assert result["demonstrations"]["tokens_per_call"] > 10
    assert result["demonstrations"]["test_gain"]["demonstrations"]["n"] == 16
