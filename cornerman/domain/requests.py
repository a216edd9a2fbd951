"""A request as it may be stored and shown: without secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from cornerman.domain.candidates import Prompts
from cornerman.domain.json_values import mask_secrets
from cornerman.domain.secrets import redact_json
from cornerman.domain.train_parameters import TrainParameters
from cornerman.domain.training import TrainSpec

# What may change when a run goes on: when it ends, and how much it does at once.
CHANGEABLE = frozenset(
    {"epochs", "patience", "target_score", "max_cost_usd", "max_seconds", "max_concurrency"}
)
# A reference, with the scheme that an Authorization has before it.
_REFERENCE = re.compile(r"(?:[A-Za-z]+ +)?\$\{[A-Za-z_][A-Za-z0-9_]*\}")


def changed_fields(given: Mapping[str, Any], stored: Mapping[str, Any]) -> list[str]:
    """Paths in which a request differs from the stored one of the run that it would continue.

    Without what may change, and without dataset and prompts, which are compared by content.

    Args:
        given: As `public_request` returns it.
        stored: The run's request.
    """
    changed = [name for name in ("graph_config", "evaluators") if given[name] != stored.get(name)]
    before: Mapping[str, Any] = stored.get("optimizer") or {}
    for name, value in given["optimizer"].items():
        if name not in CHANGEABLE and name in before and before[name] != value:
            changed.append(f"optimizer.{name}")
    return changed


def public_request(spec: TrainSpec, prompts: Prompts) -> dict[str, Any]:
    """The request with the prompts that it came to, and every secret masked.

    The prompts are kept because "the workflow's best checkpoint" may be another one by the time
    the run is resumed.
    """
    dumped = spec.model_dump(mode="json", exclude={"run_id", "promote"})
    dumped["prompts"] = {name: prompt.model_dump(mode="json") for name, prompt in prompts.items()}
    if isinstance(dumped.get("runnable_config"), dict):
        dumped["runnable_config"].pop("prompts", None)
    http = (dumped.get("graph_config") or {}).get("http")
    if http:
        # A header may be a key whatever its name; a `${NAME}` is a reference, not the secret.
        http["headers"] = {
            name: value if _REFERENCE.fullmatch(value) else "(not stored)"
            for name, value in http["headers"].items()
        }
    # Cases and prompts are the user's data, whatever their keys are called.
    for part in ("evaluators", "runnable_config"):
        dumped[part] = mask_secrets(dumped.get(part))
    return dumped


# Prefect refuses parameters of half a megabyte.
_MOST_SHOWN_BYTES = 200_000


def shown_request(parameters: TrainParameters) -> dict[str, Any]:
    """The parameters as a Prefect server may keep them, cases only when they are few."""
    shown = public_request(parameters, parameters.starting_prompts or {})
    shown["run_id"] = parameters.run_id
    cases = shown["dataset"].get("cases")
    if cases and len(json.dumps(shown)) > _MOST_SHOWN_BYTES:
        shown["dataset"]["cases"] = f"({len(cases)} cases, not shown)"
    return redact_json(shown)
