"""The figures of an estimate: spans from low to high, groups of calls, and the whole.

What a run may cost, before anything is spent: a range, from texts, counts and prices.

Low assumes the least work that the request can come to, high the most: every token bound reached,
every rewrite validated. Neither counts retries of failed calls, which mostly cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cornerman.domain.training.options import OptimizerOptions
from cornerman.domain.training.racing import FINALISTS, RACERS, race_cases

if TYPE_CHECKING:
    from cornerman.domain.battles.workflows import Limits


@dataclass(frozen=True)
class Span:
    """A number between `low` and `high`, probably near `likely`."""

    low: float
    likely: float
    high: float

    def __add__(self, other: Span) -> Span:
        return Span(self.low + other.low, self.likely + other.likely, self.high + other.high)

    def times(self, factor: float) -> Span:
        return Span(self.low * factor, self.likely * factor, self.high * factor)

    def as_dict(self) -> dict[str, float]:
        return {"low": self.low, "likely": self.likely, "high": self.high}


@dataclass(frozen=True)
class CallGroup:
    """All calls of one role: how many, and the tokens of one."""

    role: str
    model: str
    calls: Span
    input_tokens: Span
    output_tokens: Span


@dataclass(frozen=True)
class PastCalls:
    """What earlier runs of the workflow took, per role: means over their calls.

    Args:
        calls_per_unit: Calls per case run, or per battle.
    """

    input_tokens: float
    output_tokens: float
    calls_per_unit: float


@dataclass(frozen=True)
class CostEstimate:
    """USD to expect, and the calls behind it.

    Args:
        basis: In words, what the figures rest on.
        notes: What the asker should know, such as a budget that is too small.
    """

    usd: Span
    groups: tuple[CallGroup, ...]
    basis: str
    notes: list[str] = field(default_factory=list[str])

    def as_dict(self) -> dict[str, Any]:
        """The document of `cornerman estimate --json`."""
        return {
            "low_usd": self.usd.low,
            "likely_usd": self.usd.likely,
            "high_usd": self.usd.high,
            "calls": {
                group.role: {name: round(count) for name, count in group.calls.as_dict().items()}
                for group in self.groups
            },
            "basis": self.basis,
            "notes": self.notes,
        }


# Gives the picodollars of one call of a model by its input and output tokens.
Pricer = Callable[[str, int, int], int]


# Output bounds of the calls that runs make; tests hold them equal to those of the tasks.
AGENT_MAX_TOKENS = 512
JUDGE_MAX_TOKENS = 512
REWRITE_MAX_TOKENS = 2_048
SCOUT_MAX_TOKENS = 500

# What chat templates add to a call, and the instructions around the texts that we know of.
_OVERHEAD_TOKENS = 40
_REWRITE_INSTRUCTIONS = 400
_JUDGE_INSTRUCTIONS = 250
_REFEREE_INSTRUCTIONS = 600
_LIKELY_ANSWER = 60
_LIKELY_TURN = 50
_LIKELY_VERDICT = 350
# Of a race's cases, so many are run: whoever is hopeless runs no more.
_LIKELY_RACE = 0.8
# One battle of so many.
_LIKELY_BREAKTHROUGH = 0.1
# Past runs are a sample: the next one may differ by so much from their mean.
_PAST_SPREAD = 1.5


def tokens_of(text: str) -> Span:
    """Tokens of a text: about four characters each, never more than its bytes."""
    size = len(text)
    return Span(size / 6, size / 4, len(text.encode(errors="replace")))


def mean_span(spans: Iterable[Span]) -> Span:
    """The mean of several spans; zero when there are none."""
    held = list(spans)
    if not held:
        return Span(0, 0, 0)
    total = sum(held, Span(0, 0, 0))
    return total.times(1 / len(held))


def case_runs(
    options: OptimizerOptions, *, union: int, train: int, validation: int, test: int
) -> Span:
    """How many cases will be run, repeats included.

    Args:
        union: Cases that are in train or validation.
        train: Cases in train.
        validation: Cases in validation.
        test: Cases in test.
    """
    rounds = _rounds(options)
    if options.strategy == "textual_gradient":
        # One rewrite a round, tried on everything.
        likely, most = union, union
    elif options.strategy == "few_shot":
        most = race_cases(RACERS, validation) + FINALISTS * min(train, validation)
        likely = most * _LIKELY_RACE
    else:
        # A parent may not know its batches yet; the winner alone is validated.
        tried = min(options.minibatch_size, train) * _proposals(options, train)
        likely, most = tried + validation / 2, min(train, tried) + tried + validation
        if options.most_demos:
            raced = race_cases(RACERS, validation) + FINALISTS * min(train, validation)
            likely, most = (likely + raced * _LIKELY_RACE) / 2, max(most, raced)
    # At least: every rewrite is refused, or there is no failure to learn from.
    runs = Span(
        union + test,
        union + rounds.likely * likely + 2 * test,
        union + rounds.high * most + 2 * test,
    )
    return runs.times(options.repeats)


def _proposals(options: OptimizerOptions, train: int) -> int:
    """Rewrites of one prompt in a round: as a run's lab has it, no more than train cases."""
    return 1 if options.strategy == "gepa" else min(options.proposals, train)


def _rounds(options: OptimizerOptions) -> Span:
    most = options.epochs - 1
    least = most
    if options.patience is not None:
        least = min(least, options.patience)
    # A target may be reached by the starting prompts.
    if options.target_score is not None:
        least = 0
    return Span(least, (least + most) / 2, most)


def _rewrites(options: OptimizerOptions, *, train: int, trainable: int) -> Span:
    """How often the optimizer's model is asked."""
    rounds = _rounds(options)
    if options.strategy == "few_shot":
        return Span(0, 0, 0)
    if options.strategy == "textual_gradient":
        return rounds.times(trainable)
    # At least: no train case fails, so there is nothing to ask about.
    asked = rounds.times(_proposals(options, train))
    return Span(0, asked.likely, asked.high)


def training_groups(
    options: OptimizerOptions,
    *,
    runs: Span,
    models: Mapping[str, str],
    prompt: str,
    inputs: Sequence[str],
    answers: Sequence[str],
    train: int,
    trainable: int,
    judges: int,
    agent_max_tokens: int = AGENT_MAX_TOKENS,
) -> list[CallGroup]:
    """The calls of a training run.

    Args:
        models: Model by role, `agent`, `optimizer` and `judge`; a role that makes no calls that
            are booked is absent.
        prompt: All of the agent's prompts.
        inputs: The cases' inputs as text.
        answers: The cases' expected outputs as text.
        train: Cases in train.
        trainable: How many prompts may be rewritten.
        judges: How many evaluators ask a model.
    """
    case, text = mean_span(map(tokens_of, inputs)), tokens_of(prompt)
    # A rewrite may grow to the optimizer's bound.
    grown = Span(text.low, text.likely * 1.5, max(text.high, REWRITE_MAX_TOKENS))
    expected = mean_span(map(tokens_of, answers)).likely
    demos = min(options.most_demos, train)
    shown = case + Span(0, expected, expected)
    # Learned demonstrations are paid on every call, as far as they are there yet.
    grown += Span(0, shown.likely * demos / 2, shown.high * demos)
    answer = Span(1, max(_LIKELY_ANSWER / 4, expected), agent_max_tokens)
    groups = list[CallGroup]()
    if "agent" in models:
        groups.append(_group("agent", models, runs, _with(case + grown), answer))
    if judges and "judge" in models:
        judged = _with(case + answer + Span(expected, expected, expected), _JUDGE_INSTRUCTIONS)
        verdict = Span(10, _LIKELY_ANSWER, JUDGE_MAX_TOKENS)
        groups.append(_group("judge", models, runs.times(judges), judged, verdict))
    rewrites = _rewrites(options, train=train, trainable=trainable)
    if rewrites.high and "optimizer" in models:
        shown = (case + answer).times(min(options.minibatch_size, train))
        written = Span(20, text.likely * 1.2 + _LIKELY_ANSWER, REWRITE_MAX_TOKENS)
        asked = _with(shown + grown, _REWRITE_INSTRUCTIONS)
        groups.append(_group("optimizer", models, rewrites, asked, written))
    return groups


def labels_group(model: str, judged: Sequence[str], rubric: str) -> CallGroup:
    """The calls of a judge that is asked about labelled cases before a run.

    Args:
        judged: What it is asked about, as text, with inputs and expected outputs.
    """
    count = len(judged)
    asked = _with(mean_span(map(tokens_of, judged)) + tokens_of(rubric), _REFEREE_INSTRUCTIONS)
    # What it said before is remembered; an answer that cannot be read is asked for once more.
    calls = Span(0, count, 2 * count)
    return CallGroup(
        "labels", model, calls, asked, Span(10, _LIKELY_ANSWER * 2, REWRITE_MAX_TOKENS)
    )


def battle_groups(
    *,
    battles: int,
    limits: Limits,
    models: Mapping[str, str],
    agent_prompt: str,
    persona_prompts: Sequence[str],
    rubric: str,
    reruns: int = 0,
    referees: int = 1,
) -> list[CallGroup]:
    """The calls of a battle batch: both sides, who read all that was said, and the referee.

    Args:
        reruns: Battles that confirm one breakthrough; at most, every battle is one.
    """
    turn_limit = limits.turn_limit
    held = Span(battles, battles * (1 + reruns * _LIKELY_BREAKTHROUGH), battles * (1 + reruns))
    half = Span(1, turn_limit * 0.4, turn_limit / 2)
    turns = Span(held.low * half.low, held.likely * half.likely, held.high * half.high)
    turn = _bounded(5, _LIKELY_TURN, limits.turn_max_tokens)
    # A side reads on average half of the conversation.
    heard = Span(0, turn.likely * turn_limit * 0.4, turn.high * turn_limit / 2)
    agent = _with(tokens_of(agent_prompt) + heard)
    persona = _with(mean_span(map(tokens_of, persona_prompts)) + heard, _OVERHEAD_TOKENS * 2)
    whole = Span(20, turn.likely * turn_limit * 0.8, turn.high * turn_limit)
    read = _with(whole + tokens_of(rubric), _REFEREE_INSTRUCTIONS)
    verdict = _bounded(50, _LIKELY_VERDICT, limits.referee_max_tokens)
    # A verdict that cannot be read is asked for once more; re-runs have one referee.
    again = Span(0, held.likely - battles, held.high - battles)
    asked = Span(battles, battles, battles).times(referees) + again
    judged = Span(asked.low, asked.likely, 2 * asked.high)
    scouted = Span(0, battles * _LIKELY_BREAKTHROUGH, battles)
    found = Span(20, 150, SCOUT_MAX_TOKENS)
    return [
        _group("agent", models, turns, agent, turn),
        _group("persona", models, turns, persona, turn),
        _group("referee", models, judged, read, verdict),
        _group("scout", models, scouted, read, found),
    ]


def _bounded(low: float, likely: float, most: int) -> Span:
    return Span(min(low, most), min(likely, most), most)


def _with(tokens: Span, instructions: float = _OVERHEAD_TOKENS) -> Span:
    return tokens + Span(instructions / 2, instructions, instructions * 2)


def _group(
    role: str, models: Mapping[str, str], calls: Span, asked: Span, answered: Span
) -> CallGroup:
    return CallGroup(role, models[role], calls, asked, answered)


def narrowed(group: CallGroup, past: PastCalls | None, units: Span) -> CallGroup:
    """Bring a group nearer to what earlier runs took, within what is possible at all.

    Args:
        units: Case runs or battles of the run that is asked about.
    """
    if past is None:
        return group
    calls = group.calls
    if past.calls_per_unit:
        calls = _near(units.times(past.calls_per_unit), calls)
    return CallGroup(
        group.role,
        group.model,
        calls,
        _near(_around(past.input_tokens), group.input_tokens),
        _near(_around(past.output_tokens), group.output_tokens),
    )


def _around(mean: float) -> Span:
    return Span(mean / _PAST_SPREAD, mean, mean * _PAST_SPREAD)


def _near(seen: Span, bound: Span) -> Span:
    low, high = max(seen.low, bound.low), min(seen.high, bound.high)
    # Runs that were quite unlike this one say nothing about it.
    return bound if low > high else Span(low, min(max(seen.likely, low), high), high)


def cost_of(groups: Sequence[CallGroup], price: Pricer, worst_price: Pricer) -> Span:
    """USD of all groups.

    Args:
        price: What a call costs.
        worst_price: What it costs at most, such as in the dearest tier.
    """
    low = likely = high = 0.0
    for group in groups:
        asked, answered = group.input_tokens, group.output_tokens
        low += group.calls.low * price(group.model, int(asked.low), int(answered.low))
        likely += group.calls.likely * price(group.model, int(asked.likely), int(answered.likely))
        high += group.calls.high * worst_price(group.model, int(asked.high), int(answered.high))
    return Span(low / 10**12, likely / 10**12, high / 10**12)


def budget_notes(usd: Span, budget_usd: float | None, name: str) -> list[str]:
    """What a budget means for a run of that cost."""
    if budget_usd is None:
        return []
    if usd.low > budget_usd:
        return [f"{name} of ${budget_usd:g} cannot be enough; the run would stop early."]
    if usd.likely > budget_usd:
        return [f"{name} of ${budget_usd:g} will probably stop the run early."]
    if usd.high > budget_usd:
        return [f"{name} of ${budget_usd:g} is never passed; at worst it stops the run early."]
    return []
