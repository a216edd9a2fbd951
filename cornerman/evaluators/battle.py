"""Scores a battle that was held as a case."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from cornerman.domain.battles import Battle
from cornerman.domain.training.cases import EvaluationContext, Score


class BattleScore(BaseModel):
    """The battle's score, 0 to 1, with the referee's reasons."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def __call__(self, context: EvaluationContext) -> Score:
        battle = Battle.model_validate(context.output)
        if battle.score is None:
            raise ValueError(f"the battle is {battle.status}: {battle.error}")
        if battle.spoiled:
            raise ValueError(
                f"the persona fell out of its role (fidelity {battle.fidelity}), so the battle "
                "says nothing about the prompt"
            )
        return Score(battle.score / 100, battle.rationale)
