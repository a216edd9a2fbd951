"""Which personas a batch meets."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean, pvariance

from cornerman.domain.battles import Battle
from cornerman.domain.battles.request import SelectionPolicy
from cornerman.domain.errors import BadInputError, NotFoundError
from cornerman.domain.personas import Persona

# Before a persona has been met, its scores are taken to spread like this.
_PRIOR_DEVIATION = 25.0
_PRIOR_WEIGHT = 2


@dataclass(frozen=True)
class PersonaHistory:
    """What is known of the battles against one persona.

    Args:
        battles: How often it was met, whatever came of it.
        last_met: When it was met last; None when never.
        scores: The agent's scores in rated battles, oldest first.
    """

    persona_id: str
    battles: int = 0
    last_met: datetime | None = None
    scores: tuple[float, ...] = ()


@dataclass(frozen=True)
class Selection:
    """Who is met in which order, and why each of them."""

    persona_ids: tuple[str, ...]
    policy: SelectionPolicy
    reasons: dict[str, str]


def persona_histories(battles: Iterable[Battle]) -> dict[str, PersonaHistory]:
    """Histories by persona id, from battles in any order.

    A battle without a start was cancelled before it began: its persona was not met.
    """
    begun = [(battle.started_at, battle) for battle in battles if battle.started_at is not None]
    met: dict[str, list[Battle]] = {}
    for _, battle in sorted(begun, key=lambda dated: (dated[0], dated[1].id)):
        met.setdefault(battle.persona_id, []).append(battle)
    return {
        persona_id: PersonaHistory(
            persona_id=persona_id,
            battles=len(held),
            last_met=held[-1].started_at,
            scores=tuple(b.score for b in held if b.rated and b.score is not None),
        )
        for persona_id, held in met.items()
    }


def select_personas(
    personas: Sequence[Persona],
    history: Mapping[str, PersonaHistory],
    policy: SelectionPolicy = "rotate",
    n: int = 5,
    workflow_id: str = "negotiation",
) -> Selection:
    """Choose up to `n` active personas, each once; the same input gives the same choice.

    `rotate` takes those never met and then those least recently met. `hardest` takes those with
    the lowest mean score of the agent, and never-met ones only to fill up. `uncertain` takes
    those whose mean score has the widest interval. Equals are taken so that their scenarios
    differ, and then by id.

    Args:
        workflow_id: Whose personas they are, for the error.

    Raises:
        NotFoundError: No persona is active.
    """
    active = [persona for persona in personas if persona.active]
    if not active:
        raise no_active_personas(workflow_id, switched_off=bool(personas))
    spread = _scenario_rank(active)
    known = {p.id: history.get(p.id, PersonaHistory(p.id)) for p in active}
    chosen = sorted(active, key=lambda p: (_urgency(known[p.id], policy), spread[p.id], p.id))[:n]
    return Selection(
        persona_ids=tuple(p.id for p in chosen),
        policy=policy,
        reasons={p.id: _reason(known[p.id], policy) for p in chosen},
    )


def no_active_personas(workflow_id: str, *, switched_off: bool) -> NotFoundError:
    """The error of a batch that nobody can be met in; its hint is what to type.

    Args:
        switched_off: The workflow has personas, but none is active.
    """
    home = f"--workflow {workflow_id}"
    switch = f"cornerman personas on ID {home}, or: " if switched_off else ""
    return NotFoundError(
        f"No active personas found for workflow {workflow_id!r}.",
        field="personas",
        hint="Ensure personas are created and is_active=true; type: "
        f"{switch}cornerman personas import FILE {home}, or: cornerman personas generate N {home}",
    )


def named_personas(personas: Sequence[Persona], ids: Sequence[str]) -> list[Persona]:
    """The personas that a request names, in its order, active or not.

    Raises:
        BadInputError: An id is unknown.
    """
    by_id = {persona.id: persona for persona in personas}
    for position, persona_id in enumerate(ids):
        if persona_id not in by_id:
            raise BadInputError(
                f"persona_ids.{position}: expected the id of a persona, but {persona_id!r} came.",
                field=f"persona_ids.{position}",
                hint="Type: cornerman personas list",
            )
    return [by_id[persona_id] for persona_id in ids]


def interval_width(scores: Sequence[float]) -> float:
    """Width of the 95% interval of a persona's mean score; infinite when it was never rated.

    The variance is pooled with a prior of two scores that deviate by 25, so that two equal
    scores do not pass for certainty.
    """
    if not scores:
        return math.inf
    squares = pvariance(scores) * len(scores) + _PRIOR_WEIGHT * _PRIOR_DEVIATION**2
    variance = squares / (len(scores) - 1 + _PRIOR_WEIGHT)
    return 2 * 1.96 * math.sqrt(variance / len(scores))


def _urgency(history: PersonaHistory, policy: SelectionPolicy) -> float:
    """Lower goes first."""
    if policy == "rotate":
        return -math.inf if history.last_met is None else history.last_met.timestamp()
    if policy == "hardest":
        return fmean(history.scores) if history.scores else math.inf
    return -interval_width(history.scores)


def _scenario_rank(personas: Sequence[Persona]) -> dict[str, int]:
    """How many personas of the same scenario come before each, by id."""
    seen: dict[str, int] = {}
    ranks: dict[str, int] = {}
    for persona in sorted(personas, key=lambda p: p.id):
        if persona.scenario is None:
            ranks[persona.id] = 0
            continue
        ranks[persona.id] = seen.get(persona.scenario.id, 0)
        seen[persona.scenario.id] = ranks[persona.id] + 1
    return ranks


def _reason(history: PersonaHistory, policy: SelectionPolicy) -> str:
    if policy == "rotate":
        if history.last_met is None:
            return "never met"
        return f"last met {history.last_met.isoformat(timespec='seconds')}"
    if not history.scores:
        return "never scored"
    if policy == "hardest":
        return f"mean score {fmean(history.scores):.1f} in {_battles(len(history.scores))}"
    return f"interval of the mean is {interval_width(history.scores):.1f} points wide"


def _battles(count: int) -> str:
    return "1 battle" if count == 1 else f"{count} battles"
