"""The one parameter of the flow `train-workflow`."""

from __future__ import annotations

from pydantic import Field

from cornerman.domain.training import TrainSpec

RUN_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"


class TrainParameters(TrainSpec):
    """A training request, and which run it is."""

    run_id: str | None = Field(
        None,
        pattern=RUN_ID_PATTERN,
        description="The run's id; an id that exists continues that run where it was. Empty: the "
        "flow run gives it, so that Prefect's retry of a flow run continues it too.",
        examples=["nightly-2026-01-31"],
    )
    promote: bool = Field(
        True,
        description="Whether a better checkpoint becomes the workflow's best by itself; without "
        "it, somebody decides later.",
        examples=[True],
    )
