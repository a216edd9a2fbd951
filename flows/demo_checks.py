"""Demonstrations that a run could not use, told before anything is spent."""

from __future__ import annotations

from collections.abc import Sequence

from cornerman.clients.prices import PriceBook
from cornerman.domain.errors import BadInputError
from cornerman.domain.json_values import shown
from cornerman.domain.money import pico_to_usd
from cornerman.domain.money.estimate import tokens_of
from cornerman.domain.training import TrainSpec
from cornerman.domain.training.candidates import Prompt, Prompts, as_text
from cornerman.domain.training.cases import Case
from cornerman.tasks.battle_agent import ENTRYPOINT as BATTLE_AGENT


def check_demos(
    spec: TrainSpec, prompts: Prompts, cases: Sequence[Case], prices: PriceBook, model: str
) -> None:
    """Refuse demonstrations that do not fit the cases, the model or the budget.

    Args:
        model: The agent's, for prompts that name none.

    Raises:
        BadInputError: Naming the demonstration.
    """
    is_battle = spec.graph_config is not None and spec.graph_config.entrypoint == BATTLE_AGENT
    if is_battle and spec.optimizer.most_demos:
        raise BadInputError(
            "optimizer.demos: a battle has no answer that could be shown; leave demos out, and "
            "use the strategy reflective.",
            field="optimizer.demos",
        )
    for name, prompt in prompts.items():
        if prompt.demos:
            _check_inputs(f"prompts.{name}.demos", prompt, cases)
            _check_size(f"prompts.{name}.demos", spec, prompt, prices, prompt.model or model)


def _check_inputs(field: str, prompt: Prompt, cases: Sequence[Case]) -> None:
    every = set.intersection(*(set(case.inputs) for case in cases))
    some = {name for case in cases for name in case.inputs}
    for place, demo in enumerate(prompt.demos):
        where = f"{field}.{place}.inputs"
        strange = [name for name in demo.inputs if name not in some]
        if strange:
            raise BadInputError(
                f"{where}: has {shown(strange[0])}, which no case has; cases have "
                f"{', '.join(sorted(some))}.",
                field=where,
            )
        missing = sorted(every - set(demo.inputs))
        if missing:
            raise BadInputError(
                f"{where}: lacks {shown(missing[0])}, which every case has; a demonstration has "
                "the inputs of a case.",
                field=where,
            )


def _check_size(field: str, spec: TrainSpec, prompt: Prompt, prices: PriceBook, model: str) -> None:
    """Only what is surely too much is refused: the count of tokens is a lower bound."""
    texts = [as_text(part) for demo in prompt.demos for part in (demo.inputs, demo.output)]
    tokens = int(tokens_of("\n".join(texts)).low)
    window = prices.context_window(model)
    if window is not None and tokens > window:
        raise BadInputError(
            f"{field}: {len(prompt.demos)} demonstrations are at least {tokens:,} tokens; "
            f"{model} reads {window:,}.",
            field=field,
            hint="Give fewer, or shorter ones.",
        )
    budget = spec.optimizer.max_cost_usd
    each = pico_to_usd(prices.cost_pico(model, tokens, 0))
    if budget is not None and each > budget:
        raise BadInputError(
            f"{field}: {len(prompt.demos)} demonstrations cost at least ${each:.6f} a call; "
            f"optimizer.max_cost_usd is ${budget:g}.",
            field=field,
            hint="Give fewer, or a larger budget.",
        )
