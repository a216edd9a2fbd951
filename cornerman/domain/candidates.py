"""What a prompt and a candidate are."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Prompt(BaseModel):
    """One named prompt of a workflow."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field(
        description="The prompt's text; `{name}` is filled from the case's inputs.",
        examples=["Name the message's category."],
    )
    requires_grad: bool = Field(
        False, description="Whether the optimizer may rewrite it.", examples=[True]
    )
    metadata: dict[str, Any] = Field(
        default_factory=dict,
        description="Kept with the prompt; nothing reads it.",
        examples=[{"author": "Ada"}],
    )
    model: str | None = Field(
        None, description="Model for this prompt; None: AGENT_MODEL.", examples=["gpt-4o-mini"]
    )
    model_kwargs: dict[str, Any] = Field(
        default_factory=dict,
        description="Passed to the chat call, such as temperature.",
        examples=[{"temperature": 0}],
    )


Prompts = dict[str, Prompt]


class Candidate(BaseModel):
    """One set of prompts.

    `id` is `c0` for the prompts that a run started from, then `c1`, `c2`, … in the order in
    which they were proposed; unique within a run.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    prompts: Prompts
    parent_id: str | None = None
    epoch: int = 1
    origin: str = Field("seed", description="How it came to be, in a few words.")
