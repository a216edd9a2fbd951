"""Checkpoints in other programs' forms."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import yaml

from cornerman.domain.training.candidates import Checkpoint, export_text

CHECKPOINT = Checkpoint(
    id="c",
    workflow_id="w",
    config_version=3,
    runnable_config={"prompts": {"system": {"text": "Sois bref.\nÉcris.", "requires_grad": True}}},
    metrics={"validation_score": 0.5},
    metadata={},
    artifact_url=None,
    is_best=True,
    created_at=datetime(2026, 1, 31, tzinfo=UTC),
)


def test_json_and_yaml_hold_the_same_and_everything() -> None:
    held = json.loads(export_text(CHECKPOINT, "json"))
    assert held == yaml.safe_load(export_text(CHECKPOINT, "yaml")) == CHECKPOINT.as_dict()


def test_dspy_gets_the_state_that_its_load_reads() -> None:
    # As written by dspy 3.4: Module.load wants metadata, Predict.load_state the other five.
    state = json.loads(export_text(CHECKPOINT, "dspy"))
    assert state.pop("metadata") == {"dependency_versions": {}}
    assert set(state["system"]) == {"traces", "train", "demos", "signature", "lm"}
    assert state["system"]["signature"]["instructions"] == "Sois bref.\nÉcris."
