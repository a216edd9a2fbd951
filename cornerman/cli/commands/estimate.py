"""What `cornerman estimate` rests on: the spec's texts, the prices, and the ledger of past runs.

`cornerman estimate`: what a run may cost, before anything is spent.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cornerman.cli.files import read_spec
from cornerman.cli.output import Out, usd
from cornerman.cli.store import JsonOption, database
from cornerman.cli.workflow_files import workflow_id_of
from cornerman.domain.errors import BadInputError

if TYPE_CHECKING:
    from cornerman.domain.money.estimate import (
        CallGroup,
        CostEstimate,
        PastCalls,
        Span,
    )
    from cornerman.domain.runs import RunKind
    from cornerman.domain.training import TrainSpec
    from cornerman.domain.training.candidates import Prompts
    from cornerman.settings import Settings
    from cornerman.storage.database import Database


_PAST_RUNS = 5
# How far an own agent's calls may lie from what past runs took.
_OWN_SPREAD = 4
# With fewer cases or battles, the past is no guide.
_FEWEST_UNITS = 3
# Who is asked in a battle.
_SIDES = ("agent", "persona", "referee", "scout")


def estimate_training(source: str) -> CostEstimate:
    """Estimate a training run.

    Raises:
        BadInputError: The spec cannot be run.
        UnpricedModelError: A model has no price.
    """
    from cornerman.domain.datasets.load import load_cases, split_cases
    from cornerman.domain.money.estimate import case_runs, narrowed, training_groups
    from cornerman.domain.training.options import is_chat_agent
    from cornerman.domain.training.parse import parse_train_spec
    from cornerman.settings import get_settings
    from cornerman.tasks.battle_agent import ENTRYPOINT as BATTLE_AGENT

    settings, spec = get_settings(), parse_train_spec(read_spec(source), source="cli")
    cases = load_cases(spec.dataset, max_cases=spec.max_cases)
    split = split_cases(cases, spec.dataset.split)
    with database() as db:
        prompts = _prompts(db, spec)
        past, past_runs = _past(db, "train", spec.workflow_id)
        limits = _limits(db, settings)
    runs = case_runs(
        spec.optimizer,
        union=len({case.id for case in (*split.train, *split.validation)}),
        train=len(split.train),
        validation=len(split.validation),
        test=len(split.test),
    )
    groups = training_groups(
        spec.optimizer,
        runs=runs,
        models=_models(settings, prompts),
        prompt="\n".join(prompt.as_shown for prompt in prompts.values()),
        inputs=[json.dumps(case.inputs, ensure_ascii=False) for case in cases],
        answers=[_text(case.expected_output) for case in cases],
        train=len(split.train),
        trainable=sum(prompt.requires_grad for prompt in prompts.values()),
        judges=sum(evaluator.entrypoint == "llm_judge" for evaluator in spec.evaluators),
        agent_max_tokens=_agent_bound(prompts),
    )
    basis = f"{runs.likely:.0f} case runs from {len(cases)} cases, {_basis(past_runs)}"
    if spec.graph_config is not None and spec.graph_config.entrypoint == BATTLE_AGENT:
        held, own = _battles_as_cases(settings, prompts, [case.inputs for case in cases], runs)
        groups = [*held, *(group for group in groups if group.role != "agent")]
    else:
        own = not is_chat_agent(spec.graph_config)
    if own:
        groups, said = _of_own_agent(groups, past, runs)
        basis += said
    groups = [narrowed(group, past.get(group.role), runs) for group in groups]
    if spec.judge is not None:
        groups.append(_labels(settings, spec))
    if not settings.simulated:
        basis += (
            "; a model that thinks may take up to MAX_OUTPUT_TOKENS "
            f"({settings.max_output_tokens:,}) for an answer that finds no room"
        )
    budget = spec.optimizer.max_cost_usd
    return _priced(settings, groups, basis, budget, "optimizer.max_cost_usd", limits=limits)


def _labels(settings: Settings, spec: TrainSpec) -> CallGroup:
    """The calls that find out how far the judge agrees with people."""
    from cornerman.domain.judges import judging_evaluator
    from cornerman.domain.judges.labels import read_labels
    from cornerman.domain.money.estimate import labels_group
    from cornerman.tasks.battle_agent import SCORE

    judge = spec.judge
    assert judge is not None
    evaluator = judging_evaluator(judge, spec.evaluators)
    labels = read_labels(
        judge.calibration,
        referee=evaluator.entrypoint == SCORE,
        scale=judge.scale,
        columns=judge.columns,
        where="judge.calibration",
    )
    judged = [
        _text([one.case.inputs, one.case.expected_output, one.output, *map(str, one.turns)])
        for one in labels.cases
    ]
    return labels_group(settings.model_for("judge"), judged, _text(evaluator.config))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _prompts(db: Database, spec: TrainSpec) -> Prompts:
    from cornerman.storage.checkpoints import read_best_checkpoint

    if spec.starting_prompts is not None:
        return spec.starting_prompts
    with db.reading() as session:
        best = read_best_checkpoint(session, spec.workflow_id)
    if best is None:
        raise BadInputError(
            f"prompts: none are given, and workflow {spec.workflow_id!r} has no checkpoint.",
            field="prompts",
            hint='Add prompts: {"system": {"text": "...", "requires_grad": true}}',
        )
    return best.prompts


def _models(settings: Settings, prompts: Prompts) -> dict[str, str]:
    own = next((prompt.model for prompt in prompts.values() if prompt.model), None)
    return {
        "agent": own or settings.model_for("agent"),
        "optimizer": settings.model_for("optimizer"),
        "judge": settings.model_for("judge"),
    }


def _of_own_agent(
    groups: list[CallGroup], past: dict[str, PastCalls], units: Span
) -> tuple[list[CallGroup], str]:
    """The groups as far as anybody can tell of an agent of the user's own, and what is to be said.

    How often it asks a model, and which, only past runs tell.
    """
    if "agent" not in past:
        said = (
            "; what your own agent's calls cost is unknown before the first run, and the budget "
            "holds all the same"
        )
        return [group for group in groups if group.role != "agent"], said
    known = [_own_calls(group, past, units) for group in groups]
    return known, "; your own agent's calls as past runs made them"


def _battles_as_cases(
    settings: Settings, prompts: Prompts, cases: list[dict[str, Any]], runs: Span
) -> tuple[list[CallGroup], bool]:
    """The calls of battles that are cases, and whether an agent of the user's own holds them."""
    from cornerman.domain.battles.workflows import Workflow
    from cornerman.domain.money.estimate import battle_groups

    texts = {name: prompt.model_dump() for name, prompt in prompts.items()}
    workflow = Workflow.model_validate(cases[0]["workflow"] | {"prompts": texts})
    one = battle_groups(
        battles=1,
        limits=workflow.limits,
        models={role: settings.model_for(role) for role in _SIDES},
        agent_prompt="\n".join(prompt.text for prompt in prompts.values()),
        persona_prompts=[str(case["persona"]["system_prompt"]) for case in cases],
        rubric=workflow.rubric.model_dump_json(),
    )
    groups = [
        replace(group, calls=_product(group.calls, runs)) for group in one if group.role != "scout"
    ]
    return groups, workflow.has_own_agent


def _product(calls: Span, units: Span) -> Span:
    from cornerman.domain.money.estimate import Span

    return Span(calls.low * units.low, calls.likely * units.likely, calls.high * units.high)


def _own_calls(group: CallGroup, past: dict[str, PastCalls], runs: Span) -> CallGroup:
    """An own agent's group as wide as the past, which alone says how often it calls."""
    from cornerman.domain.money.estimate import Span

    seen = past.get(group.role)
    if group.role != "agent" or seen is None:
        return group
    per_unit = seen.calls_per_unit
    return replace(
        group,
        calls=Span(0.0, runs.likely * per_unit, runs.high * per_unit * _OWN_SPREAD),
        input_tokens=_wide(seen.input_tokens),
        output_tokens=_wide(seen.output_tokens),
    )


def _wide(mean: float) -> Span:
    from cornerman.domain.money.estimate import Span

    return Span(mean / _OWN_SPREAD, mean, mean * _OWN_SPREAD)


def _agent_bound(prompts: Prompts) -> int:
    from cornerman.domain.money.estimate import AGENT_MAX_TOKENS

    names = ("max_tokens", "max_completion_tokens")
    given = [
        p.model_kwargs[name]
        for p in prompts.values()
        for name in names
        if (isinstance(p.model_kwargs.get(name), int))
    ]
    return max(given, default=AGENT_MAX_TOKENS)


def estimate_battle(workflow_id: str, batch_size: int | None) -> CostEstimate:
    """Estimate a battle batch.

    Raises:
        BadInputError: The batch size is over the limit, or the workflow unknown.
        UnpricedModelError: A model has no price.
    """
    from cornerman.cli.commands.battle import battle_texts
    from cornerman.domain.battles.breakthroughs import RERUNS
    from cornerman.domain.money.estimate import Span, battle_groups, narrowed
    from cornerman.settings import get_settings

    settings = get_settings()
    size = settings.batch_size_checked(batch_size)
    with database() as db:
        texts = battle_texts(db, workflow_id)
        past, past_runs = _past(db, "battle", workflow_id)
        limits = _limits(db, settings)
    groups = battle_groups(
        battles=size,
        limits=texts.limits,
        models={role: settings.model_for(role) for role in _SIDES},
        agent_prompt=texts.agent_prompt,
        persona_prompts=texts.persona_prompts,
        rubric=texts.rubric,
        reruns=RERUNS,
    )
    battles = Span(size, size, size)
    basis = f"{size} battles of at most {texts.limits.turn_limit} turns, {_basis(past_runs)}"
    if texts.has_own_agent:
        groups, said = _of_own_agent(groups, past, battles)
        basis += said
    groups = [narrowed(group, past.get(group.role), battles) for group in groups]
    budget = settings.batch_budget_usd
    return _priced(settings, groups, basis, budget, "BATCH_BUDGET_USD", limits=limits)


def _basis(past_runs: int) -> str:
    return f"narrowed by {past_runs} past runs" if past_runs else "without past runs to go by"


def _priced(
    settings: Settings,
    groups: list[CallGroup],
    basis: str,
    budget: float | None,
    name: str,
    *,
    limits: dict[str, int],
) -> CostEstimate:
    from cornerman.clients.prices import PriceBook
    from cornerman.domain.money.estimate import CostEstimate, budget_notes, cost_of

    book = PriceBook(settings.model_prices, base_url=settings.openai_base_url)
    for group in groups:
        book.require(group.model)
    groups = [_with_thoughts(group, limits.get(group.model, 0)) for group in groups]
    usd = cost_of(groups, book.cost_pico, book.worst_cost_pico)
    notes = budget_notes(usd, budget, name)
    notes += budget_notes(usd, settings.daily_budget_usd, "DAILY_BUDGET_USD")
    if settings.simulated:
        notes.append("Simulated: the rehearsal endpoint costs nothing; its prices are play money.")
    return CostEstimate(usd, tuple(groups), basis, notes)


def _with_thoughts(group: CallGroup, limit: int) -> CallGroup:
    """A group of a model that has needed so much room for its thoughts, which are paid."""
    output = group.output_tokens
    return replace(group, output_tokens=replace(output, high=max(output.high, limit)))


def _limits(db: Database, settings: Settings) -> dict[str, int]:
    """Output tokens that answers of this endpoint's models were given before text came."""
    from cornerman.clients.llm_types import endpoint_name
    from cornerman.storage.output_limits import read_output_limits

    name = endpoint_name(settings.openai_base_url, simulated=settings.simulated)
    with db.reading() as session:
        return read_output_limits(session, name)


def _past(db: Database, kind: RunKind, workflow_id: str) -> tuple[dict[str, PastCalls], int]:
    """Mean tokens and calls by role over the newest finished runs, and how many those are."""
    from cornerman.domain.money.estimate import PastCalls
    from cornerman.storage import battles, cases, ledger, runs

    units, counted = 0, 0
    sums: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    with db.reading() as session:
        ended = runs.read_runs(
            session, kind=kind, workflow_id=workflow_id, active=False, limit=_PAST_RUNS
        )
        for run in ended:
            if kind == "train":
                done = sum(cases.count_case_statuses(session, run.id).values())
            else:
                held = battles.read_battles(session, batch_id=run.id)
                done = sum(battle.confirms is None for battle in held)
            if done < _FEWEST_UNITS:
                continue
            units, counted = units + done, counted + 1
            for row in ledger.read_ledger_summary(session, run.id):
                for place, name in enumerate(("input_tokens", "output_tokens", "calls")):
                    sums[row["role"]][place] += row[name]
    past = {
        role: PastCalls(asked / calls, answered / calls, _per_unit(role, kind, calls, units))
        for role, (asked, answered, calls) in sums.items()
        if calls and asked
    }
    return past, counted


def _per_unit(role: str, kind: RunKind, calls: float, units: int) -> float:
    # How often the optimizer is asked depends on the epochs, not on the cases.
    return 0.0 if kind == "train" and role == "optimizer" else calls / units


def estimate(
    spec: Annotated[
        str, typer.Argument(metavar="SPEC|battle", help="A training spec, or the word battle.")
    ],
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", "-n", help="Battles, for battle.")
    ] = None,
    workflow: Annotated[
        str, typer.Option("--workflow", "-w", help="Whose agent plays, for battle; or its file.")
    ] = "negotiation",
    json: JsonOption = False,
) -> None:
    """Give the range of what a run may cost, from its texts, prices and past runs."""
    from cornerman.cli.commands.estimate import estimate_battle, estimate_training

    out = Out(json)
    if spec == "battle":
        found = estimate_battle(workflow_id_of(workflow, out), batch_size)
    else:
        found = estimate_training(spec)
    out.document(found.as_dict())
    out.say(
        f"Likely {usd(found.usd.likely)}, between {usd(found.usd.low)} and {usd(found.usd.high)}.",
        style="bold",
    )
    out.table(
        ("role", "model", "calls at least", "likely", "at most"),
        [
            (group.role, group.model, *(f"{count:.0f}" for count in vars(group.calls).values()))
            for group in found.groups
        ],
    )
    out.say(f"Basis: {found.basis}")
    for note in found.notes:
        out.say(f"Note: {note}", style="yellow")
