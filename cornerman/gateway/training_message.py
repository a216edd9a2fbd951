"""The websocket's `train_workflow` message as a training request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from cornerman.domain.errors import BadInputError
from cornerman.domain.json_values import json_fault, shown
from cornerman.domain.train_parameters import RUN_ID_PATTERN, TrainParameters
from cornerman.domain.training import WORKFLOW_ID_PATTERN
from cornerman.domain.training_parse import parse_training_request

_KNOWN = ("type", "graph_config", "inputs", "execution_id", "training", "runnable_config")


def parse_training_message(workflow: str, message: Mapping[str, Any]) -> TrainParameters:
    """Return what the message asks for.

    Args:
        workflow: The workflow of the socket's address.
        message: `training` holds the request's fields; `graph_config` and `runnable_config`
            stand beside it; `inputs` are defaults for the inputs of every case.

    Raises:
        BadInputError: It cannot be accepted; names the field, the value and the limit.
    """
    unknown = next((key for key in message if key not in _KNOWN), None)
    if unknown is not None:
        raise BadInputError(f"{unknown}: unknown field; known: {', '.join(_KNOWN)}", field=unknown)
    if not re.fullmatch(WORKFLOW_ID_PATTERN, workflow):
        raise BadInputError(
            f"workflow: {shown(workflow)} does not match {WORKFLOW_ID_PATTERN}", field="workflow"
        )
    payload = _object(message, "training") or {}
    for name in ("graph_config", "runnable_config"):
        beside = message.get(name)
        if beside is not None and payload.get(name) not in (None, beside):
            raise BadInputError(f"training.{name}: differs from {name}; give one", field=name)
        payload |= {} if beside is None else {name: beside}
    request = parse_training_request(payload, source="http")
    run_id = _run_id(message.get("execution_id"))
    values = {name: getattr(request, name) for name in request.model_fields_set}
    spec = TrainParameters(**values, workflow_id=workflow, run_id=run_id)
    return _with_inputs(spec, _object(message, "inputs") or {})


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


def _with_inputs(spec: TrainParameters, inputs: dict[str, Any]) -> TrainParameters:
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
