"""The websocket's messages that start a run, as training requests and evaluations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from cornerman.domain.errors import BadInputError
from cornerman.domain.json_values import json_fault, shown
from cornerman.domain.training import (
    RUN_ID_PATTERN,
    WORKFLOW_ID_PATTERN,
    TrainParameters,
    TrainSpec,
)
from cornerman.domain.training.evaluation import LIMITS, EvaluateParameters
from cornerman.domain.training.parse import parse_evaluate_spec, parse_training_request

_BESIDE = ("type", "graph_config", "inputs", "execution_id", "runnable_config")
# What Orcheo's client sends besides: who asked, and the stored workflow's own config.
_ORCHEO_BESIDE = ("triggered_by", "stored_runnable_config")
# Fields that the address and the message itself give, and the block of training alone.
_NOT_IN_EVALUATION = ("workflow_id", "run_id", "optimizer")
SpecT = TypeVar("SpecT", bound=TrainSpec)


def parse_training_message(workflow: str, message: Mapping[str, Any]) -> TrainParameters:
    """Return what a `train_workflow` message asks for.

    Args:
        workflow: The workflow of the socket's address.
        message: `training` holds the request's fields; `graph_config` and `runnable_config`
            stand beside it; `inputs` are defaults for the inputs of every case.

    Raises:
        BadInputError: It cannot be accepted; names the field, the value and the limit.
    """
    payload = _payload(workflow, message, "training")
    request = parse_training_request(payload, source="http")
    values = {name: getattr(request, name) for name in request.model_fields_set}
    run_id = _run_id(message.get("execution_id"))
    spec = TrainParameters(**values, workflow_id=workflow, run_id=run_id)
    return _with_inputs(spec, _object(message, "inputs") or {})


def parse_evaluation_message(workflow: str, message: Mapping[str, Any]) -> EvaluateParameters:
    """Return what an `evaluate_workflow` message asks for.

    Args:
        workflow: The workflow of the socket's address.
        message: As for training, with `evaluation` in place of `training`: the request's fields
            less `optimizer`, whose limits stand in the block itself; `checkpoints`, `models`,
            `split`, `min_score` and `not_worse_than`.

    Raises:
        BadInputError: It cannot be accepted; names the field, the value and the limit.
    """
    payload = _payload(workflow, message, "evaluation")
    for name in _NOT_IN_EVALUATION:
        if name in payload:
            raise BadInputError(
                f"evaluation.{name}: unknown field; an evaluation rewrites nothing, and its limits "
                f"stand in evaluation itself: {', '.join(LIMITS)}"
                if name == "optimizer"
                else f"evaluation.{name}: unknown field",
                field=f"evaluation.{name}",
            )
    limits = {name: payload.pop(name) for name in LIMITS if name in payload}
    run_id = _run_id(message.get("execution_id"))
    payload |= {"workflow_id": workflow, "run_id": run_id, "optimizer": limits}
    try:
        spec = parse_evaluate_spec(payload, source="http")
    except BadInputError as error:
        # Named as they were sent.
        said = error.message.replace("optimizer.", "")
        field = error.field.removeprefix("optimizer.")
        raise BadInputError(said, field=field, hint=error.hint) from error
    return _with_inputs(spec, _object(message, "inputs") or {})


def _payload(workflow: str, message: Mapping[str, Any], block: str) -> dict[str, Any]:
    """The request's fields, wherever in the message they stand."""
    known = (*_BESIDE, block)
    unknown = next((key for key in message if key not in (*known, *_ORCHEO_BESIDE)), None)
    if unknown is not None:
        raise BadInputError(f"{unknown}: unknown field; known: {', '.join(known)}", field=unknown)
    if not re.fullmatch(WORKFLOW_ID_PATTERN, workflow):
        raise BadInputError(
            f"workflow: {shown(workflow)} does not match {WORKFLOW_ID_PATTERN}", field="workflow"
        )
    if message.get("stored_runnable_config") is not None:
        message = {**message, "runnable_config": _merged_config(message)}
    payload = _object(message, block) or {}
    for name in ("graph_config", "runnable_config"):
        beside = message.get(name)
        if beside is not None and payload.get(name) not in (None, beside):
            raise BadInputError(f"{block}.{name}: differs from {name}; give one", field=name)
        payload |= {} if beside is None else {name: beside}
    return payload


def _merged_config(message: Mapping[str, Any]) -> dict[str, Any]:
    """The stored workflow's config under the run's own, as Orcheo lays one over the other."""
    stored = _object(message, "stored_runnable_config") or {}
    given = _object(message, "runnable_config") or {}
    merged = stored | given
    for name in ("configurable", "metadata", "prompts"):
        below, above = stored.get(name), given.get(name)
        if isinstance(below, dict) and isinstance(above, dict) and above:
            merged[name] = {**below, **above}
    return merged


def _object(message: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    value = message.get(name)
    if value is None:
        return None
    if not isinstance(value, dict):
        raise BadInputError(f"{name}: {shown(value)} is not an object", field=name)
    return dict(cast("dict[str, Any]", value))


def _run_id(given: Any) -> str | None:
    if given is None:
        return None
    if not isinstance(given, str) or not re.fullmatch(RUN_ID_PATTERN, given):
        raise BadInputError(
            f"execution_id: {shown(given)} must be text that matches {RUN_ID_PATTERN}",
            field="execution_id",
        )
    return given


def _with_inputs(spec: SpecT, inputs: dict[str, Any]) -> SpecT:
    """Give every case the inputs that it lacks."""
    if not inputs:
        return spec
    fault = json_fault(inputs)
    if fault is not None:
        raise BadInputError(f"inputs.{fault[0]}: {fault[1]}", field="inputs")
    if spec.dataset.cases is None:
        raise BadInputError(
            "inputs: defaults for the cases' inputs go with dataset.cases; put them into the file "
            "instead",
            field="inputs",
        )
    cases = [c.model_copy(update={"inputs": inputs | c.inputs}) for c in spec.dataset.cases]
    dataset = spec.dataset.model_copy(update={"cases": cases})
    return spec.model_copy(update={"dataset": dataset})
