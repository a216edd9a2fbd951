"""The example that a page or a person without a spec of their own may train."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from cornerman.domain.datasets.load import load_cases
from cornerman.domain.training import TrainParameters
from cornerman.domain.training.parse import parse_train_spec
from cornerman.domain.yaml_values import read_yaml

EXAMPLE = "triage.yaml"


def example_training() -> TrainParameters:
    """The request of the example, with its cases in it, so that no file need be read later."""
    with as_file(files("cornerman").joinpath("examples")) as folder:
        spec = _with_cases(Path(folder))
    parsed = parse_train_spec(spec, source="http")
    return TrainParameters.model_validate(dict(parsed))


def _with_cases(folder: Path) -> dict[str, Any]:
    spec: dict[str, Any] = read_yaml((folder / EXAMPLE).read_text(encoding="utf-8"))
    known = parse_train_spec(
        spec | {"dataset": spec["dataset"] | {"path": str(folder / spec["dataset"]["path"])}},
        source="cli",
    )
    cases = [
        {
            "id": case.id,
            "inputs": case.inputs,
            "expected_output": case.expected_output,
            "metadata": case.metadata,
        }
        for case in load_cases(known.dataset, folder)
    ]
    return spec | {"dataset": {"cases": cases}}
