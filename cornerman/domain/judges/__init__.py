"""Which people's labels a judge must agree with: `judge` of a training request."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field, field_validator

from cornerman.domain.datasets import Columns, Options
from cornerman.domain.json_values import FiniteNumber, problem

# Landis and Koch (1977) call agreement from here on substantial.
MIN_KAPPA = 0.6
_SCALE = re.compile(r"(-?\d+(?:\.\d+)?)-(-?\d+(?:\.\d+)?)")


def parse_scale(text: str) -> tuple[float, float]:
    """The lowest and the highest label of a scale such as `1-5`.

    Raises:
        ValueError: It has another form.
    """
    found = _SCALE.fullmatch(text.strip())
    if found is None or float(found[1]) >= float(found[2]):
        raise ValueError(f"{text!r} is not LOW-HIGH, such as 1-5 or 0-100")
    return float(found[1]), float(found[2])


class LabelColumns(Options):
    """Which columns of a file of labelled cases are which part; None: where the name is there."""

    label: str = Field("label", description="What a person said.", examples=["rating"])
    output: str = Field("output", description="What is judged.", examples=["answer"])
    inputs: Columns | None = Field(
        None, description="As `dataset.columns.inputs`.", examples=[{"question": "question"}]
    )
    expected_output: str | None = Field(
        None, description="What the output should have been.", examples=["reference"]
    )
    metadata: Columns | None = Field(None, description="For evaluators.", examples=[["topic"]])
    id: str | None = Field(None, description="Unique ids.", examples=["id"])
    messages: str = Field(
        "messages", description="For a referee: the conversation.", examples=["traj"]
    )
    scenario: str = Field(
        "scenario", description="For a referee: the situation.", examples=["scenario"]
    )


class JudgeOptions(Options):
    """A judge that must agree with people before a run relies on it."""

    calibration: str = Field(
        min_length=1,
        description="A JSON, JSONL or CSV file of labelled cases, relative to the spec's folder.",
        examples=["labelled.jsonl"],
    )
    min_kappa: FiniteNumber = Field(
        MIN_KAPPA, ge=-1, le=1, description="Refuse to train under this kappa.", examples=[0.6]
    )
    evaluator: str | None = Field(
        None,
        description="Id of the evaluator that is checked; empty: the only one that asks a model.",
        examples=["quality"],
    )
    scale: str | None = Field(
        None, description="What people's labels range over; empty: 0-1.", examples=["1-5"]
    )
    columns: LabelColumns | None = Field(
        None, description="Which columns of the file to use.", examples=[{"label": "rating"}]
    )

    @field_validator("scale")
    @classmethod
    def _is_scale(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                parse_scale(value)
            except ValueError as error:
                raise problem(str(error)) from error
        return value


def judging_evaluator(options: JudgeOptions, evaluators: list[Any]) -> Any:
    """The evaluator of a request that `judge` is about.

    Args:
        evaluators: The request's `EvaluatorOptions`.

    Raises:
        PydanticCustomError: It names none, or several come in question.
    """
    ids = ", ".join(each.id for each in evaluators)
    if options.evaluator is not None:
        named = [each for each in evaluators if each.id == options.evaluator]
        if not named:
            raise problem(
                f"{options.evaluator!r} is no evaluator's id; there are: {ids}", "judge.evaluator"
            )
        return named[0]
    asking = [each for each in evaluators if each.entrypoint == "llm_judge"] or evaluators
    if len(asking) > 1:
        raise problem(
            f"which one is meant? Give judge.evaluator, one of: {', '.join(e.id for e in asking)}",
            "judge.evaluator",
        )
    return asking[0]
