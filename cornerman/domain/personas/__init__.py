"""What a persona and a scenario are."""

from __future__ import annotations

import re
import uuid
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

AgentSide = Literal["seller", "buyer"]
PersonaSource = Literal["builtin", "import", "generated"]

# Any fixed namespace does; it makes the same name give the same id on every machine.
_NAMESPACE = uuid.UUID("6f0f6a2e-3c53-5d0b-9a39-2f1c60d6b5a1")


class PriceTargets(BaseModel):
    """What both sides of a price negotiation hope for, in one currency.

    A buyer's target above the seller's leaves room for a deal that suits both; below it, each
    hopes for more than the other wants to give, which is as common in real listings.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    asking: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="Listed price."
    )
    buyer_target: float = Field(gt=0, allow_inf_nan=False)
    seller_target: float = Field(gt=0, allow_inf_nan=False)
    agent_side: AgentSide = "seller"
    currency: str = Field(
        default="$", min_length=1, max_length=8, description="As both sides are to write it."
    )

    @property
    def agent_target(self) -> float:
        return self.seller_target if self.agent_side == "seller" else self.buyer_target

    @property
    def persona_target(self) -> float:
        return self.buyer_target if self.agent_side == "seller" else self.seller_target


class Scenario(BaseModel):
    """The situation in which agent and persona meet; both know it, but not the other's goal."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1)
    description: str = Field(min_length=1)
    agent_goal: str = Field(min_length=1)
    persona_goal: str = Field(min_length=1)
    agent_role: str = "the agent"
    persona_role: str = "the other side"
    price_targets: PriceTargets | None = None
    expected: Any = Field(
        default=None, description="What the workflow's evaluators get as `expected_output`."
    )
    metadata: dict[str, Any] = Field(default_factory=dict)


class Persona(BaseModel):
    """Who the agent meets.

    `id` is the same for the same persona on every machine, so that an import can be repeated.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]*$")
    name: str = Field(min_length=1, max_length=120)
    description: str = Field(default="", max_length=2_000)
    persona_type: str = Field(default="custom", min_length=1, max_length=60)
    system_prompt: str = Field(min_length=1, max_length=16_000)
    characteristics: list[str] = Field(default_factory=list)
    attack_patterns: list[str] = Field(default_factory=list)
    difficulty: int = Field(default=3, ge=1, le=5, description="1 is easy to win over, 5 is hard.")
    active: bool = True
    workflow_id: str = Field(default="negotiation", min_length=1)
    scenario: Scenario | None = Field(
        default=None,
        description="Where this persona is met; None: one of the workflow's scenarios.",
    )
    metadata: dict[str, Any] = Field(default_factory=dict)
    source: PersonaSource = "import"


def slugify(text: str) -> str:
    """Lower-case ASCII words joined by hyphens; `persona` when nothing is left."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "persona"


def persona_id(workflow_id: str, key: str) -> str:
    """The id of the persona that `key` names in a workflow, the same on every machine.

    A readable slug with a hash of both parts behind it, since two names may share a slug.
    """
    digest = uuid.uuid5(_NAMESPACE, f"{workflow_id}\n{key}").hex[:8]
    return f"{slugify(key)[:48].strip('-')}-{digest}"


def same_persona(a: Persona, b: Persona) -> bool:
    """Whether two personas are one: the same id, name, or prompt but for spacing and case."""
    return a.workflow_id == b.workflow_id and (
        a.id == b.id
        or _squeezed(a.name) == _squeezed(b.name)
        or _squeezed(a.system_prompt) == _squeezed(b.system_prompt)
    )


def _squeezed(text: str) -> str:
    return " ".join(text.casefold().split())
