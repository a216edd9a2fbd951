"""Turns a payload from outside into a training request, or into one clear refusal.

A request as it may be stored and shown: without secrets.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from cornerman.domain.datasets import CaseOptions, ColumnOptions, DatasetOptions, SplitOptions
from cornerman.domain.errors import BadInputError
from cornerman.domain.json_values import looks_secret, mask_secrets, shown
from cornerman.domain.judges import JudgeOptions, LabelColumns
from cornerman.domain.secrets import redact_json
from cornerman.domain.training import (
    EvaluatorOptions,
    GraphOptions,
    HttpAgentOptions,
    TrainingRequest,
    TrainParameters,
    TrainSpec,
    check_runnable,
    check_trainable,
)
from cornerman.domain.training.candidates import Prompt, Prompts
from cornerman.domain.training.evaluation import EvaluateParameters
from cornerman.domain.training.options import OptimizerOptions

Source = Literal["python", "cli", "http", "prefect"]
RequestT = TypeVar("RequestT", bound=TrainingRequest)
MAX_PROBLEMS = 10

# Which model an unknown key's parent is, for "did you mean"; `*` is any key or position.
_MODELS: dict[str, type[BaseModel]] = {
    "dataset": DatasetOptions,
    "dataset.cases.*": CaseOptions,
    "dataset.columns": ColumnOptions,
    "dataset.split": SplitOptions,
    "evaluators.*": EvaluatorOptions,
    "optimizer": OptimizerOptions,
    "prompts.*": Prompt,
    "runnable_config.prompts.*": Prompt,
    "judge": JudgeOptions,
    "judge.columns": LabelColumns,
    "graph_config": GraphOptions,
    "graph_config.http": HttpAgentOptions,
}
# pydantic's error type -> our words; the limit is in the error's context.
_LIMITS = {
    "greater_than_equal": ("ge", "is under the limit of"),
    "greater_than": ("gt", "must be over"),
    "less_than_equal": ("le", "is over the limit of"),
    "less_than": ("lt", "must be under"),
}
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "dict": "an object",
    "model": "an object",
    "list": "a list",
    "tuple": "a list",
}


def parse_training_request(payload: Mapping[str, Any], *, source: Source) -> TrainingRequest:
    """Return the request that a payload holds, without `workflow_id`.

    Args:
        payload: The request's fields as JSON or YAML gave them.
        source: Where it came from. An HTTP agent is refused from `http`: no address from a
            network request is ever fetched.

    Raises:
        BadInputError: Names for each problem (at most ten) the path, the value and the limit.
    """
    return _parse(TrainingRequest, payload, source)


def parse_train_spec(payload: Mapping[str, Any], *, source: Source) -> TrainSpec:
    """Return the spec that a payload holds: a request and its `workflow_id`.

    Raises:
        BadInputError: As `parse_training_request`.
    """
    return _parse(TrainSpec, payload, source)


def parse_evaluate_spec(payload: Mapping[str, Any], *, source: Source) -> EvaluateParameters:
    """Return the evaluation that a payload asks for: a spec, and what to compare it with.

    Raises:
        BadInputError: As `parse_training_request`.
    """
    return _parse(EvaluateParameters, payload, source)


class _SpecCases(BaseModel):
    """The part of a spec that says what its cases are."""

    dataset: DatasetOptions
    max_cases: int | None = Field(None, gt=0)


def parse_spec_cases(payload: Mapping[str, Any]) -> tuple[DatasetOptions, int | None]:
    """Return a spec's dataset and `max_cases`, whatever else is in it, or is not yet.

    Raises:
        BadInputError: As `parse_training_request`.
    """
    given = {name: payload[name] for name in ("dataset", "max_cases") if name in payload}
    try:
        held = _SpecCases.model_validate(given)
    except ValidationError as error:
        raise bad_input(error) from error
    return held.dataset, held.max_cases


def refuse_untrainable(prompts: Prompts, graph: GraphOptions | None, path: str) -> None:
    """Refuse prompts, such as a checkpoint's, that a run could not train.

    Raises:
        BadInputError: None has requires_grad, or the chat agent's `system` is missing.
    """
    try:
        check_trainable(prompts, graph, path)
    except PydanticCustomError as error:
        raise BadInputError(f"{path}: {error.message()}", field=path) from error


def refuse_unrunnable(prompts: Prompts, graph: GraphOptions | None, path: str) -> None:
    """Refuse prompts, such as a checkpoint's, that the agent could not be called with.

    Raises:
        BadInputError: The chat agent's `system` is missing.
    """
    try:
        check_runnable(prompts, graph, path)
    except PydanticCustomError as error:
        raise BadInputError(f"{path}: {error.message()}", field=path) from error


def _parse(model: type[RequestT], payload: Any, source: Source) -> RequestT:
    if not isinstance(payload, Mapping):
        raise BadInputError(f"expected an object with a training request, got {shown(payload)}")
    try:
        request = model.model_validate(dict(payload))
    except ValidationError as error:
        raise bad_input(error, model) from error
    if source == "http" and request.graph_config and request.graph_config.http:
        raise BadInputError(
            "graph_config.http: refused over HTTP; an agent's address is taken from the command "
            "line and Python only",
            field="graph_config.http",
            hint="Give graph_config.entrypoint, or run it with: cornerman train SPEC",
        )
    return request


def bad_input(error: ValidationError, model: type[BaseModel] = TrainingRequest) -> BadInputError:
    """Return one refusal that words all of a validation's problems, ten at most."""
    details = error.errors(include_url=False)
    problems = [_word(detail, model) for detail in details]
    text = "; ".join(f"{path}: {words}" if path else words for path, words in problems[:10])
    if len(problems) > MAX_PROBLEMS:
        text += f"; and {len(problems) - MAX_PROBLEMS} more problems"
    return BadInputError(text, field=problems[0][0])


def _word(detail: ErrorDetails, model: type[BaseModel]) -> tuple[str, str]:
    """Return a problem's path and its wording."""
    location = [str(part) for part in detail["loc"]]
    path = ".".join(location)
    context = detail.get("ctx") or {}
    kind = detail["type"]
    name = next((part for part in reversed(location) if looks_secret(part)), "")
    value = shown(detail["input"], name)
    if kind == "cornerman":
        return str(context.get("path") or path), str(context["text"])
    if kind == "extra_forbidden":
        return path, "unknown field" + _did_you_mean(location, model)
    if kind == "missing":
        return path, "is required"
    if kind in _LIMITS:
        key, words = _LIMITS[kind]
        return path, f"{value} {words} {context[key]:g}"
    return path, _word_shape(kind, value, context, detail["msg"])


def _word_shape(kind: str, value: str, context: Mapping[str, Any], message: str) -> str:
    if kind == "too_short":
        return f"is empty; at least {context['min_length']} needed"
    if kind == "too_long":
        return f"has {context['actual_length']}, over the limit of {context['max_length']}"
    if kind == "finite_number":
        return f"{value} is not a finite number"
    if kind == "string_pattern_mismatch":
        return f"{value} does not match {context['pattern']}"
    if kind in ("string_too_short", "string_too_long"):
        return f"{value}: {message[0].lower()}{message[1:]}"
    if kind == "int_from_float":
        return f"{value} is not a whole number"
    family = kind.removesuffix("_parsing").removesuffix("_type").removesuffix("_size")
    if family in _KINDS:
        return f"{value} is not {_KINDS[family]}"
    return f"{value}: {message[0].lower()}{message[1:]}"


def _did_you_mean(location: Sequence[str], root: type[BaseModel]) -> str:
    parent = _model_at(location[:-1], root)
    if parent is None:
        return ""
    names = list(parent.model_fields)
    near = difflib.get_close_matches(location[-1], names, n=1)
    return f"; did you mean {near[0]}?" if near else f"; known: {', '.join(names)}"


def _model_at(location: Sequence[str], root: type[BaseModel]) -> type[BaseModel] | None:
    if not location:
        return root
    for pattern, model in _MODELS.items():
        parts = pattern.split(".")
        if len(parts) == len(location) and all(
            part in ("*", given) for part, given in zip(parts, location, strict=True)
        ):
            return model
    return None


# What may change when a run goes on: when it ends, and how much it does at once.
CHANGEABLE = frozenset(
    {"epochs", "patience", "target_score", "max_cost_usd", "max_seconds", "max_concurrency"}
)
# What an evaluation is asked to score; its bar of `min_score` may change.
_ASKED = ("checkpoints", "models", "split", "not_worse_than")
# A reference, with the scheme that an Authorization has before it.
_REFERENCE = re.compile(r"(?:[A-Za-z]+ +)?\$\{[A-Za-z_][A-Za-z0-9_]*\}")


def changed_fields(given: Mapping[str, Any], stored: Mapping[str, Any]) -> list[str]:
    """Paths in which a request differs from the stored one of the run that it would continue.

    Without what may change, and without dataset and prompts, which are compared by content.

    Args:
        given: As `public_request` returns it.
        stored: The run's request.
    """
    held = ("graph_config", "evaluators", "judge", *(name for name in _ASKED if name in given))
    changed = [name for name in held if name in given and given[name] != stored.get(name)]
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


def shown_request(parameters: TrainParameters | EvaluateParameters) -> dict[str, Any]:
    """The parameters as a Prefect server may keep them, cases only when they are few."""
    shown = public_request(parameters, parameters.starting_prompts or {})
    shown["run_id"] = parameters.run_id
    cases = shown["dataset"].get("cases")
    if cases and len(json.dumps(shown)) > _MOST_SHOWN_BYTES:
        shown["dataset"]["cases"] = f"({len(cases)} cases, not shown)"
    return redact_json(shown)
