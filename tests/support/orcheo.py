"""What Orcheo 0.46 writes, in the exact shape of its models' dumps and of its tables."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Engine, text

# As its backend creates it; the older SQLite one, without workspaces, is in the migration's tests.
POSTGRES_TABLE = """
CREATE TABLE IF NOT EXISTS agentensor_checkpoints (
    id TEXT PRIMARY KEY,
    workflow_id TEXT NOT NULL,
    workspace_id TEXT,
    config_version INTEGER NOT NULL,
    runnable_config JSONB NOT NULL,
    metrics JSONB NOT NULL,
    metadata JSONB NOT NULL DEFAULT '{}'::jsonb,
    artifact_url TEXT NULL,
    is_best BOOLEAN NOT NULL DEFAULT FALSE,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW()
)
"""
SQLITE_TABLE = """
CREATE TABLE IF NOT EXISTS agentensor_checkpoints (
    id TEXT PRIMARY KEY,
    workflow_id TEXT NOT NULL,
    config_version INTEGER NOT NULL,
    runnable_config TEXT NOT NULL,
    metrics TEXT NOT NULL,
    metadata TEXT NOT NULL DEFAULT '{}',
    artifact_url TEXT,
    is_best INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL
)
"""


def prompt(text: str, *, requires_grad: bool = True) -> dict[str, Any]:
    """`TrainablePrompt.model_dump(mode="json")`."""
    return {
        "text": text,
        "requires_grad": requires_grad,
        "metadata": {},
        "model_kwargs": {},
        "type": "TextTensor",
    }


def runnable_config(prompts: dict[str, Any] | None) -> dict[str, Any]:
    """`RunnableConfigModel.model_dump(mode="json")`."""
    return {
        "configurable": {},
        "tags": [],
        "metadata": {},
        "callbacks": [],
        "run_name": None,
        "recursion_limit": None,
        "max_concurrency": None,
        "prompts": prompts,
    }


def training(evaluators: list[dict[str, Any]], cases: int = 6) -> dict[str, Any]:
    """`TrainingRequest.model_dump(mode="json")`."""
    return {
        "dataset": {
            "id": "numbers-2026",
            "cases": [
                {"inputs": {"n": n}, "expected_output": str(n), "metadata": {}}
                for n in range(cases)
            ],
        },
        "evaluators": evaluators,
        "optimizer": {
            "epochs": 1,
            "checkpoint_interval": 1,
            "case_timeout_seconds": 30,
            "max_concurrency": 4,
        },
        "max_cases": None,
    }


def evaluator(entrypoint: str, name: str = "quality") -> dict[str, Any]:
    """`EvaluatorDefinition.model_dump(mode="json")`."""
    return {"id": name, "entrypoint": entrypoint, "config": {}}


def checkpoint_row(number: int, workflow_id: str = "support", **changes: Any) -> dict[str, Any]:
    """One stored checkpoint; `number` is its version and makes its id."""
    config = {
        "configurable": {"thread_id": "e1"},
        "recursion_limit": 50,
        "max_concurrency": 4,
        "prompts": {"system": prompt(f"Version {number}.")},
    }
    return {
        "id": f"00000000-0000-4000-8000-{number:012d}",
        "workflow_id": workflow_id,
        "config_version": number,
        "runnable_config": json.dumps(config),
        "metrics": json.dumps({"quality": number / 10}),
        "metadata": json.dumps({"epoch": number, "summary": {"quality": number / 10}}),
        "artifact_url": None,
        "is_best": False,
        "created_at": f"2026-01-{number:02d}T10:00:00+00:00",
    } | changes


def fill(engine: Engine, rows: list[dict[str, Any]]) -> None:
    """Create the table as Orcheo does, and put rows into it."""
    postgres = engine.dialect.name == "postgresql"
    with engine.begin() as connection:
        connection.execute(text(POSTGRES_TABLE if postgres else SQLITE_TABLE))
        for row in rows:
            names = ", ".join(row)
            values = ", ".join(f":{name}" for name in row)
            sql = f"INSERT INTO agentensor_checkpoints ({names}) VALUES ({values})"
            connection.execute(text(sql), row)
