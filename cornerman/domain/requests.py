"""A request as it may be stored and shown: without secrets."""

from __future__ import annotations

from typing import Any

from cornerman.domain.candidates import Prompts
from cornerman.domain.json_values import mask_secrets
from cornerman.domain.training import TrainSpec


def public_request(spec: TrainSpec, prompts: Prompts) -> dict[str, Any]:
    """The request with the prompts that it came to, and every secret masked.

    The prompts are kept because "the workflow's best checkpoint" may be another one by the time
    the run is resumed.
    """
    dumped = spec.model_dump(mode="json", exclude={"run_id"})
    dumped["prompts"] = {name: prompt.model_dump(mode="json") for name, prompt in prompts.items()}
    if isinstance(dumped.get("runnable_config"), dict):
        dumped["runnable_config"].pop("prompts", None)
    http = (dumped.get("graph_config") or {}).get("http")
    if http:
        # A header may be a key whatever its name; a `${NAME}` is a reference, not the secret.
        http["headers"] = {
            name: value if value.startswith("${") else "(not stored)"
            for name, value in http["headers"].items()
        }
    # Cases and prompts are the user's data, whatever their keys are called.
    for part in ("evaluators", "runnable_config"):
        dumped[part] = mask_secrets(dumped.get(part))
    return dumped
