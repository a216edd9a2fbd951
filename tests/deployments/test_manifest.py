"""What prefect.yaml says: names, parameters, and forms that a person can fill in."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from cornerman.deployments.manifest import MANIFEST, DeploymentSpec, ManifestError, read_manifest
from cornerman.domain.battles.breakthroughs import ScoutParameters
from cornerman.domain.battles.request import BattleParameters
from cornerman.domain.training import TrainParameters
from cornerman.domain.training.evaluation import EvaluateParameters
from cornerman.domain.training.retrain import RetrainParameters

MODELS: dict[str, type[BaseModel]] = {
    "train-workflow": TrainParameters,
    "evaluate-workflow": EvaluateParameters,
    "battle-batch": BattleParameters,
    "scout": ScoutParameters,
    "retrain": RetrainParameters,
}
SPECS = read_manifest()
EACH = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.full_name)
# What bounds a number or a text in a JSON schema.
BOUNDS = {
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    *("minLength", "maxLength", "pattern", "enum", "const", "minItems"),
}


def by_name(name: str) -> DeploymentSpec:
    return next(spec for spec in SPECS if spec.full_name == name)


def test_every_deployment_that_is_promised_is_there() -> None:
    assert {spec.full_name for spec in SPECS} >= {
        "train-workflow/manual",
        "evaluate-workflow/manual",
        "battle-batch/every-30-minutes",
        "scout/hourly",
        "retrain/nightly",
        # The gateway's.
        "battle-batch/manual",
        "scout/manual",
    }


@EACH
def test_parameters_are_valid(spec: DeploymentSpec) -> None:
    model = MODELS[spec.flow.name]
    model.model_validate(spec.parameters["parameters"])
    spec.flow.validate_parameters(spec.parameters)


@EACH
def test_the_entrypoint_is_a_module_s(spec: DeploymentSpec) -> None:
    module, _, name = spec.entrypoint.rpartition(".")
    assert ":" not in spec.entrypoint and ".py" not in spec.entrypoint
    assert getattr(__import__(module, fromlist=[name]), name).name == spec.flow.name


def test_batches_start_every_30_minutes_in_utc_and_never_beside_one_another() -> None:
    spec = by_name("battle-batch/every-30-minutes")
    assert [(s.cron, s.timezone) for s in spec.schedules] == [("*/30 * * * *", "UTC")]
    assert spec.most_at_once == 1
    stated = yaml.safe_load(MANIFEST.read_text())["deployments"]
    limits = [entry["concurrency_limit"] for entry in stated if "schedules" in entry]
    assert limits == [{"limit": 1, "collision_strategy": "CANCEL_NEW"}] * 3


def test_battle_cron_moves_the_batches_alone() -> None:
    moved = {spec.full_name: spec for spec in read_manifest(battle_cron="5 * * * *")}
    assert moved["battle-batch/every-30-minutes"].schedules[0].cron == "5 * * * *"
    assert moved["scout/hourly"].schedules == by_name("scout/hourly").schedules


def test_a_deployment_s_version_follows_its_contents() -> None:
    again = {spec.full_name: spec.version("1") for spec in read_manifest()}
    moved = {spec.full_name: spec.version("1") for spec in read_manifest(battle_cron="5 * * * *")}
    assert again == {spec.full_name: spec.version("1") for spec in SPECS}
    changed = {name for name in again if again[name] != moved[name]}
    assert changed == {"battle-batch/every-30-minutes"}


def test_a_missing_manifest_is_told(tmp_path: Any) -> None:
    with pytest.raises(ManifestError, match="cannot be read"):
        read_manifest(tmp_path / "prefect.yaml")


def properties(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every field of the form, by its path through the schema's definitions."""
    definitions = {"": schema, **schema.get("definitions", {})}
    return {
        f"{name}.{key}".strip("."): value
        for name, part in definitions.items()
        for key, value in part.get("properties", {}).items()
    }


def shapes(field: dict[str, Any]) -> list[dict[str, Any]]:
    return [field, *field.get("anyOf", []), *field.get("allOf", [])]


@EACH
def test_every_field_of_the_form_is_described(spec: DeploymentSpec) -> None:
    schema = spec.flow.parameters.model_dump()
    silent = [
        name
        for name, field in properties(schema).items()
        if not field.get("description") and name != "parameters"
    ]
    assert silent == []
    assert schema["properties"]["parameters"].get("title") or schema["definitions"]


@EACH
def test_every_number_of_the_form_is_bounded(spec: DeploymentSpec) -> None:
    # A seed may be any whole number, a budget any amount that is not negative.
    free = {"OptimizerOptions.seed", "SplitOptions.seed", "EvaluatorOptions.weight"}
    unbounded = [
        name
        for name, field in properties(spec.flow.parameters.model_dump()).items()
        if any(s.get("type") in ("integer", "number") for s in shapes(field))
        and not any(BOUNDS & set(s) for s in shapes(field))
    ]
    assert set(unbounded) <= free


@EACH
def test_every_field_of_the_form_has_an_example(spec: DeploymentSpec) -> None:
    # One that is a form of its own shows the examples of its fields.
    bare = [
        name
        for name, field in properties(spec.flow.parameters.model_dump()).items()
        if not field.get("examples") and not any("$ref" in shape for shape in shapes(field))
    ]
    assert bare == []


@EACH
def test_the_form_s_default_fills_what_it_requires(spec: DeploymentSpec) -> None:
    model = MODELS[spec.flow.name]
    required = {name for name, field in model.model_fields.items() if field.is_required()}
    assert required <= set(spec.parameters["parameters"])
