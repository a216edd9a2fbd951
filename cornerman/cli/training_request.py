"""Which training run `cornerman train` is asked for: a new one, or one to continue."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from cornerman.cli.spec_file import read_spec
from cornerman.domain.errors import BadInputError

if TYPE_CHECKING:
    from cornerman.domain.runs import Run
    from cornerman.domain.train_parameters import TrainParameters

# What may change when a run goes on: when it ends, and how much it does at once.
CHANGEABLE = (
    "epochs",
    "patience",
    "target_score",
    "max_cost_usd",
    "max_seconds",
    "max_concurrency",
)
# What stands in a stored request in place of a secret.
_MASKS = ("***", "(not stored)")


def new_run(spec: str, run_id: str | None) -> TrainParameters:
    """The parameters of a new run.

    Raises:
        BadInputError: The spec cannot be run.
    """
    return _parameters(read_spec(spec), run_id or f"train-{uuid.uuid4().hex[:12]}")


def continued_run(run: Run, spec: str | None) -> TrainParameters:
    """The parameters that a stored run goes on with.

    Args:
        spec: A spec whose stops replace the stored ones; None to change nothing.

    Raises:
        BadInputError: It is no training run, another workflow's or request's spec was given, or
            the request held secrets, which are not stored.
    """
    if run.kind != "train":
        raise BadInputError(
            f"Run {run.id!r} is a {run.kind} run; only training runs can be resumed.",
            field="run_id",
            hint="Type: cornerman runs list --kind train",
        )
    stored = {key: value for key, value in run.request.items() if key != "dataset_fingerprint"}
    if spec is None:
        _refuse_masked(run.id, stored)
        return _parameters(stored, run.id)
    given = read_spec(spec)
    if not given.get("prompts") and not (given.get("runnable_config") or {}).get("prompts"):
        given["prompts"] = stored["prompts"]
    parameters = _parameters(given, run.id)
    _refuse_other_request(run.id, stored, parameters)
    return parameters


def _parameters(payload: dict[str, Any], run_id: str) -> TrainParameters:
    from pydantic import ValidationError

    from cornerman.domain.train_parameters import TrainParameters
    from cornerman.domain.training_parse import bad_input, parse_train_spec

    spec = parse_train_spec(payload, source="cli")
    try:
        return TrainParameters.model_validate({**dict(spec), "run_id": run_id})
    except ValidationError as error:
        raise bad_input(error, TrainParameters) from error


def _refuse_masked(run_id: str, stored: dict[str, Any]) -> None:
    held = json.dumps([stored.get(part) for part in ("graph_config", "evaluators")])
    if any(f'"{mask}"' in held for mask in _MASKS):
        raise BadInputError(
            f"Run {run_id!r} was started with secrets in its spec, which are not stored.",
            field="spec",
            hint=f"Give the spec again: cornerman train SPEC --resume {run_id}",
        )


def _refuse_other_request(run_id: str, stored: dict[str, Any], parameters: TrainParameters) -> None:
    from cornerman.domain.requests import public_request

    given = public_request(parameters, parameters.starting_prompts or {})
    # The stored form went through a database, so both are compared as JSON.
    given, stored = json.loads(json.dumps(given)), json.loads(json.dumps(stored))
    for held in (given, stored):
        for name in CHANGEABLE:
            held.get("optimizer", {}).pop(name, None)
    differing = sorted(_differences(given, stored))
    if differing:
        raise BadInputError(
            f"{differing[0]}: differs from run {run_id!r}, which could not be continued exactly; "
            f"only {', '.join(CHANGEABLE)} may change.",
            field=differing[0],
            hint="Start a new run: cornerman train SPEC",
        )


def _differences(given: Any, stored: Any, path: str = "") -> list[str]:
    if isinstance(given, dict) and isinstance(stored, dict):
        found = list[str]()
        for key in {*given, *stored}:
            where = f"{path}.{key}" if path else str(key)
            found += _differences(given.get(key), stored.get(key), where)
        return found
    return [] if given == stored else [path]
