"""Estimates: ranges that hold, and what narrows them."""

from __future__ import annotations

import pytest

from cornerman.domain.battles.workflows import Limits
from cornerman.domain.money.estimate import (
    AGENT_MAX_TOKENS,
    JUDGE_MAX_TOKENS,
    REWRITE_MAX_TOKENS,
    SCOUT_MAX_TOKENS,
    CallGroup,
    PastCalls,
    Span,
    battle_groups,
    budget_notes,
    case_runs,
    cost_of,
    narrowed,
    tokens_of,
    training_groups,
)
from cornerman.domain.training.options import OptimizerOptions

MODELS = {"agent": "a", "optimizer": "o", "judge": "j"}


def options(**values: object) -> OptimizerOptions:
    return OptimizerOptions.model_validate(values)


def price(_model: str, asked: int, answered: int) -> int:
    return asked + 4 * answered


def test_one_epoch_runs_each_case_once_and_the_test_split() -> None:
    runs = case_runs(options(epochs=1), union=8, train=5, validation=3, test=2)
    assert runs == Span(10, 12, 12)


def test_more_epochs_are_between_all_refused_and_all_validated() -> None:
    runs = case_runs(
        options(epochs=3, proposals=2, minibatch_size=4), union=80, train=50, validation=30, test=20
    )
    assert runs.low == 80 + 20
    assert runs.high == 80 + 2 * (2 * 4 + 2 * 4 + 30) + 2 * 20
    assert runs.low < runs.likely < runs.high


def test_textual_gradient_tries_each_rewrite_on_everything() -> None:
    runs = case_runs(
        options(epochs=3, strategy="textual_gradient"), union=8, train=5, validation=3, test=2
    )
    assert runs.high == 8 + 2 * 8 + 4


def test_stops_lower_what_is_likely_and_not_the_high_end() -> None:
    plain = case_runs(options(epochs=5), union=8, train=5, validation=3, test=0)
    stopped = case_runs(options(epochs=5, target_score=0.9), union=8, train=5, validation=3, test=0)
    assert (stopped.low, stopped.high) == (8, plain.high)
    patient = case_runs(options(epochs=5, patience=1), union=8, train=5, validation=3, test=0)
    assert stopped.likely < patient.likely < plain.likely


def test_repeats_multiply() -> None:
    once = case_runs(options(epochs=1), union=8, train=5, validation=3, test=2)
    assert case_runs(options(epochs=1, repeats=3), union=8, train=5, validation=3, test=2) == (
        once.times(3)
    )


@pytest.mark.parametrize("text", ["Label it.", "Étiquette à coller", "请标注", "🙂" * 9, ""])
def test_tokens_are_at_most_bytes(text: str) -> None:
    span = tokens_of(text)
    assert span.low <= span.likely <= span.high == len(text.encode())


def groups(**changes: object) -> list[CallGroup]:
    given: dict[str, object] = {
        "runs": Span(10, 20, 30),
        "models": MODELS,
        "prompt": "Label the message.",
        "inputs": ["a message"],
        "answers": ["label"],
        "train": 10,
        "trainable": 1,
        "judges": 0,
    }
    chosen = options(epochs=3, strategy=changes.pop("strategy", "reflective"))
    return training_groups(chosen, **(given | changes))  # pyright: ignore


def test_a_judge_is_asked_once_a_case_run_for_each_evaluator() -> None:
    by_role = {group.role: group for group in groups(judges=2)}
    assert by_role["judge"].calls == Span(20, 40, 60)
    assert set(by_role) == {"agent", "judge", "optimizer"}


@pytest.mark.parametrize(
    ("strategy", "train", "calls"),
    [
        ("reflective", 10, Span(0, 12, 12)),
        ("reflective", 3, Span(0, 6, 6)),
        ("gepa", 10, Span(0, 2, 2)),
        ("textual_gradient", 10, Span(4, 4, 4)),
    ],
)
def test_rewrites_are_as_many_as_the_strategy_asks_for(
    strategy: str, train: int, calls: Span
) -> None:
    by_role = {g.role: g for g in groups(strategy=strategy, train=train, trainable=2)}
    assert by_role["optimizer"].calls == calls


def test_an_agent_behind_http_costs_nothing_here() -> None:
    models = {"optimizer": "o", "judge": "j"}
    assert [group.role for group in groups(models=models)] == ["optimizer"]


def test_the_range_is_ordered_and_grows_with_the_case_runs() -> None:
    small = cost_of(groups(), price, price)
    large = cost_of(groups(runs=Span(100, 200, 300)), price, price)
    assert 0 < small.low < small.likely < small.high
    assert small.low < large.low and small.high < large.high


def test_past_runs_narrow_a_group_within_its_bounds() -> None:
    group = CallGroup("agent", "a", Span(10, 20, 30), Span(1, 50, 400), Span(1, 60, 512))
    near = narrowed(group, PastCalls(80, 4, 1.0), Span(10, 20, 30))
    assert near.input_tokens.likely == 80
    assert near.input_tokens.high < group.input_tokens.high
    assert near.output_tokens.high == pytest.approx(6)


def test_a_past_that_is_impossible_now_says_nothing() -> None:
    group = CallGroup("agent", "a", Span(10, 20, 30), Span(1, 50, 400), Span(1, 60, 512))
    assert narrowed(group, PastCalls(9_000, 4, 0), Span(1, 1, 1)).input_tokens == Span(1, 50, 400)


def test_a_budget_that_is_too_small_is_told() -> None:
    usd = Span(1, 2, 3)
    assert "cannot be enough" in budget_notes(usd, 0.5, "max_cost_usd")[0]
    assert "probably" in budget_notes(usd, 1.5, "max_cost_usd")[0]
    assert "at worst" in budget_notes(usd, 2.5, "max_cost_usd")[0]
    assert budget_notes(usd, 3, "max_cost_usd") == budget_notes(usd, None, "x") == []


def test_the_bounds_are_those_of_the_calls() -> None:
    from cornerman.clients.chat_request import ChatRequest
    from cornerman.tasks.judge import JUDGE_MAX_TOKENS as judge
    from cornerman.tasks.rewrite import REWRITE_MAX_TOKENS as rewrite
    from cornerman.tasks.scout import SCOUT_MAX_TOKENS as scout

    agent = ChatRequest(role="agent", model="m", messages=()).max_tokens
    assert (agent, judge) == (AGENT_MAX_TOKENS, JUDGE_MAX_TOKENS)
    assert (rewrite, scout) == (REWRITE_MAX_TOKENS, SCOUT_MAX_TOKENS)


def test_a_batch_counts_reruns_and_its_workflows_limits() -> None:
    def groups(limits: Limits, reruns: int) -> dict[str, CallGroup]:
        models = dict.fromkeys(("agent", "persona", "referee", "scout"), "m")
        made = battle_groups(
            battles=5,
            limits=limits,
            models=models,
            agent_prompt="Sell.",
            persona_prompts=["Buy."],
            rubric="Judge.",
            reruns=reruns,
        )
        return {group.role: group for group in made}

    short = Limits(turn_limit=4, turn_max_tokens=16, referee_max_tokens=64)
    once, thrice = groups(short, 0), groups(short, 2)
    assert (once["agent"].calls.high, thrice["agent"].calls.high) == (10, 30)
    assert (once["referee"].calls.high, thrice["referee"].calls.high) == (10, 30)
    assert once["agent"].calls.low == thrice["agent"].calls.low == 5
    assert once["referee"].output_tokens == Span(50, 64, 64)
    assert once["agent"].output_tokens == Span(5, 16, 16)
