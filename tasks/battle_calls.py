"""The model calls of a battle, for whoever holds one: a batch, or a training run's case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cornerman.clients.chat_json import chat_json
from cornerman.clients.llm import LLM, ChatRequest
from cornerman.domain.battles import Battle, Evaluated, Speaker, Turn
from cornerman.domain.battles.conversation import agent_messages, next_speaker, persona_messages
from cornerman.domain.battles.negotiation import agreed_price, negotiation_outcome
from cornerman.domain.battles.workflows import Limits, Workflow
from cornerman.domain.errors import LLMError
from cornerman.domain.money.ledger import CallScope
from cornerman.domain.personas import Persona, Scenario
from cornerman.domain.referee import (
    Judgement,
    Verdict,
    checked_score,
    combine,
    parse_verdict,
    referee_messages,
    verdict_response_format,
)
from cornerman.domain.referee.transcripts import other_order
from cornerman.domain.seeds import derived_seed
from cornerman.domain.training.candidates import Prompts
from cornerman.settings import Settings

PERSONA_TEMPERATURE = 0.8
SECOND_REFEREE_TEMPERATURE = 0.5
TURN_TIMEOUT_SECONDS = 30.0
REFEREE_TIMEOUT_SECONDS = 45.0


class Stage:
    """Who meets whom, where, under which rules; all that a battle's calls are made from."""

    def __init__(
        self,
        *,
        settings: Settings,
        workflow: Workflow,
        limits: Limits,
        prompts: Prompts,
        persona: Persona,
        scenario: Scenario,
        seed: int,
    ) -> None:
        self.settings = settings
        self.workflow = workflow
        self.limits = limits
        self.prompts = prompts
        self.persona = persona
        self.scenario = scenario
        self.seed = seed

    def speaker(self, turns: Sequence[Turn]) -> Speaker:
        """Whose turn it is."""
        return next_speaker(turns, self.workflow.first_speaker)

    def next_request(self, turns: Sequence[Turn]) -> ChatRequest:
        """The call for the next turn; its role says whose turn it is."""
        if self.speaker(turns) == "agent":
            return self._agent_request(turns)
        return self._persona_request(turns)

    def _agent_request(self, turns: Sequence[Turn]) -> ChatRequest:
        name, limits = self.workflow.agent_prompt, self.limits
        prompt = self.prompts[name]
        messages = agent_messages(prompt.text, self.scenario, turns, limits.prompt_chars)
        extra = dict(prompt.model_kwargs)
        return ChatRequest(
            role="agent",
            model=prompt.model or self.settings.model_for("agent"),
            messages=tuple(dict(message) for message in messages),
            prompts=(name,),
            max_tokens=limits.turn_max_tokens,
            # At temperature 0 a seed means nothing and would only defeat caches.
            seed=self._seed(len(turns)) if extra.get("temperature") else None,
            extra=extra,
            timeout_seconds=TURN_TIMEOUT_SECONDS,
        )

    def _persona_request(self, turns: Sequence[Turn]) -> ChatRequest:
        limits = self.limits
        messages = persona_messages(self.persona, self.scenario, turns, limits.prompt_chars)
        return ChatRequest(
            role="persona",
            model=self.settings.model_for("persona"),
            messages=tuple(dict(message) for message in messages),
            max_tokens=limits.turn_max_tokens,
            temperature=PERSONA_TEMPERATURE,
            seed=self._seed(len(turns)),
            timeout_seconds=TURN_TIMEOUT_SECONDS,
        )

    def _seed(self, purpose: object) -> int:
        return derived_seed(self.seed, self.persona.id, purpose)

    def referee_request(self, turns: Sequence[Turn], number: int) -> ChatRequest:
        """The call of the first referee, or of the second, who sees the sides the other way."""
        order = self._seed("order")
        messages = referee_messages(
            self.workflow.rubric,
            self.scenario,
            turns,
            order_seed=order if number == 1 else other_order(order),
            persona=self.persona,
        )
        return ChatRequest(
            role="referee",
            model=self.settings.model_for("referee"),
            messages=tuple(dict(message) for message in messages),
            max_tokens=self.limits.referee_max_tokens,
            temperature=0.0 if number == 1 else SECOND_REFEREE_TEMPERATURE,
            seed=None if number == 1 else self._seed("second referee"),
            response_format=verdict_response_format(self.workflow.rubric),
            timeout_seconds=REFEREE_TIMEOUT_SECONDS,
        )

    def judgement(
        self,
        turns: Sequence[Turn],
        verdict: Verdict | None,
        evaluations: Mapping[str, Evaluated],
    ) -> Judgement:
        """What the battle's row gets: the verdict, and what can be computed."""
        targets = self.scenario.price_targets
        outcome = None if targets is None else negotiation_outcome(targets, agreed_price(turns))
        weights = {each.id: each.weight for each in self.workflow.evaluators}
        return combine(verdict, outcome, checked_score(evaluations, weights))


async def ask_referee(
    llm: LLM, scope: CallScope, stage: Stage, turns: Sequence[Turn], number: int = 1
) -> Verdict | None:
    """One referee's verdict; None when its answer cannot be used, after one repair.

    Raises:
        LLMError: The referee gave no answer.
        StopError: No more money may be spent.
    """

    def read(text: str) -> Verdict:
        try:
            return parse_verdict(text, turns, stage.workflow.rubric)
        except LLMError as error:  # what is wrong, for the repair
            raise ValueError(error.message) from error

    return await chat_json(llm, scope, stage.referee_request(turns, number), read)


async def judged(
    llm: LLM, scope: CallScope, stage: Stage, battle: Battle, *, second: bool
) -> Battle:
    """The battle with its verdict. A referee that cannot be used or reached leaves it unscored.

    Args:
        battle: With what the workflow's evaluators found.
        second: Ask another referee too, to tell how far the two agree; the first one's score
            stands.

    Raises:
        StopError: No more money may be spent.
    """
    why = "The referee's answer could not be used, after one repair attempt."
    verdict, other = None, None
    try:
        verdict = await ask_referee(llm, scope, stage, battle.turns)
        if second and verdict is not None:
            other = await ask_referee(llm, scope, stage, battle.turns, number=2)
    except LLMError as error:
        why = f"The referee did not answer: {error.kind}: {error.message}"
    given = tuple(v.score for v in (verdict, other) if v is not None)
    judgement = stage.judgement(battle.turns, verdict, battle.evaluations)
    facts = {
        "judged_scores": given,
        "referee_spread": abs(given[0] - given[1]) if len(given) == 2 else None,
        "error": why if judgement.status == "unscored" else None,
    }
    return battle.model_copy(update={**dict(judgement), **facts})
