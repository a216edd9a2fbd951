"""LLM agents that train themselves on a schedule, on a budget, with every run recorded.

from cornerman import TrainParameters, train_workflow
result = await train_workflow(TrainParameters.model_validate(spec))
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_WHERE = {
    "train_workflow": "cornerman.flows.train",
    "evaluate_workflow": "cornerman.flows.evaluate",
    "battle_batch": "cornerman.flows.battle",
    "live_prompts": "cornerman.live",
    "scout": "cornerman.flows.scout",
    "TrainParameters": "cornerman.domain.training",
    "EvaluateParameters": "cornerman.domain.training.evaluation",
    "BattleParameters": "cornerman.domain.battles.request",
    "ScoutParameters": "cornerman.domain.battles.breakthroughs",
}


def __getattr__(name: str) -> Any:
    # Importing Prefect takes a second, which the rehearsal endpoint and `--help` need not wait.
    if name not in _WHERE:
        raise AttributeError(f"module 'cornerman' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
