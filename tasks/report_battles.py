"""What a report says of a batch in sentences.

A battle batch's part of the report.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from cornerman.domain.battles import Battle, ToolCall, unscored_words
from cornerman.domain.battles.breakthroughs import Breakthrough
from cornerman.domain.battles.ratings import change_finding, change_since, nothing_differs
from cornerman.domain.money import pico_to_usd
from cornerman.domain.runs import Run
from cornerman.domain.statistics import mean_interval
from cornerman.report.model import (
    BattleCard,
    BattleSection,
    BreakthroughCard,
    Check,
    DifficultyRow,
    EarlierBatch,
    Estimate,
    Improvement,
    Rating,
    SubScore,
    ToolUse,
    Turn,
)
from cornerman.storage import battles, breakthroughs, ledger, personas, ratings
from cornerman.tasks.report_training import iso, ledger_rows

_POLICIES = {
    "rotate": "those least recently met",
    "hardest": "those the agent does worst against",
    "uncertain": "those whose scores are least certain",
}


def batch_remarks(run: Run) -> list[str]:
    """Who was met, how far two referees agree, whether a version got worse; empty when unknown."""
    figures = run.metrics
    remarks = list[str]()
    if who := _POLICIES.get(str(figures.get("policy"))):
        remarks.append(f"Met by the policy {figures['policy']}: {who}.")
    if words := unscored_words(
        *(int(figures.get(name) or 0) for name in ("scored", "failed", "unscored", "battles_total"))
    ):
        remarks.append(f"{words}.")
    if agreement := figures.get("referee_agreement"):
        remarks.append(_agreement(agreement))
    if worse := figures.get("regression"):
        remarks.append(
            f"The version is worse than {worse['previous']}: {worse['difference']:+.1f} points "
            f"(95%: {worse['low']:+.1f} to {worse['high']:+.1f})."
        )
    remarks += (run.result or {}).get("notes", [])
    return remarks


def _agreement(figures: dict[str, Any]) -> str:
    return (
        f"A second referee judged {figures['n']} of the battles: {figures['mean_difference']:.1f} "
        f"points apart on average, {figures['within_10']:.0%} within 10 points."
    )


def confirmation(found: Breakthrough) -> str:
    """Whether re-runs with other seeds held up; empty when there were none."""
    if found.confirmed is None:
        return ""
    scores = ", ".join(f"{score:.0f}" for score in found.confirming_scores)
    return f"{'Confirmed' if found.confirmed else 'Not confirmed'} by re-runs that scored {scores}"


def battle_section(session: Any, run: Run) -> BattleSection:
    """Everything that the page shows of a batch."""
    held = battles.read_battles(session, batch_id=run.id, with_turns=True)
    everything = battles.read_battles(session, workflow_id=run.workflow_id, simulated=run.simulated)
    names = _names(session, run.workflow_id, held)
    batch_budget = ledger.read_budget(session, f"batch:{run.id}")
    day_budget = ledger.read_budget(session, _day_budget_name(run))
    return BattleSection(
        batch_id=run.id,
        workflow_id=run.workflow_id,
        status=run.status,
        stopped_by=run.stopped_by or "",
        started_at=iso(run.started_at),
        finished_at=iso(run.finished_at),
        average_score=_average([battle for battle in held if battle.confirms is None]),
        total_cost_usd=pico_to_usd(ledger.read_run_cost_pico(session, run.id)),
        batch_budget_usd=None if batch_budget is None else pico_to_usd(batch_budget.limit_pico),
        day_budget_usd=None if day_budget is None else pico_to_usd(day_budget.limit_pico),
        day_spent_usd=None if day_budget is None else pico_to_usd(day_budget.spent_pico),
        battles=[card_of(battle, names) for battle in held],
        version=held[0].agent_version if held else "",
        earlier=_earlier(session, run, held),
        remarks=batch_remarks(run),
        difficulty=_difficulty(everything, names),
        ratings=_ratings(session, run, names),
        breakthroughs=_breakthroughs(session, run.id),
        cost_over_time=ledger.read_cost_over_time(session, run.id),
        ledger=ledger_rows(session, run.id),
    )


def _earlier(session: Any, run: Run, held: Sequence[Battle]) -> EarlierBatch | None:
    """The batch that this one repeats, beside it; None when it repeats none."""
    batch_id = run.request.get("repeat_of")
    if not isinstance(batch_id, str):
        return None
    met = battles.read_battles(session, batch_id=batch_id, with_turns=True)
    before = [battle for battle in met if battle.confirms is None]
    change = change_since(before, held)
    names = _names(session, run.workflow_id, before)
    found = None
    unchanged = nothing_differs(before, held)
    if change.mean is not None and not unchanged:
        found = Improvement(change.mean, change.low, change.high, change.n)
    return EarlierBatch(
        batch_id=batch_id,
        version=before[0].agent_version if before else "",
        average_score=_average(before),
        change=found,
        finding=change_finding(change, unchanged=unchanged),
        battles=[card_of(battle, names) for battle in before],
    )


def _day_budget_name(run: Run) -> str:
    day = (run.started_at or run.created_at).date().isoformat()
    return f"day:{day}:simulated" if run.simulated else f"day:{day}"


def _names(session: Any, workflow_id: str, held: Sequence[Battle]) -> dict[str, str]:
    """Names by persona id; of those that were met, as they were then."""
    names = {p.id: p.name for p in personas.read_personas(session, workflow_id)}
    for battle in held:
        setting = battles.read_setting(session, battle.id)
        if setting is not None:
            names[battle.persona_id] = setting[0].name
    return names


def _average(held: Sequence[Battle]) -> Estimate | None:
    scores = [battle.score for battle in held if battle.rated and battle.score is not None]
    found = mean_interval(scores, scale=100)
    if found.value is None:
        return None
    return Estimate(found.value, found.low, found.high, found.n)


def card_of(battle: Battle, names: dict[str, str]) -> BattleCard:
    outcome = battle.outcome
    return BattleCard(
        id=battle.id,
        persona_id=battle.persona_id,
        persona_name=names.get(battle.persona_id, battle.persona_id),
        status=battle.status,
        score=battle.score,
        ended_by=(battle.ended_by or "").replace("_", " "),
        outcome="" if outcome is None else outcome.kind.replace("_", " "),
        agreed_price=None if outcome is None else outcome.agreed_price,
        cost_usd=battle.cost_usd,
        spoiled=battle.spoiled,
        computed=battle.status == "scored"
        and (outcome is not None or any(found.counts for found in battle.evaluations.values())),
        judged_scores=battle.judged_scores,
        fidelity=battle.fidelity,
        rationale=battle.rationale,
        rerun=battle.confirms is not None,
        error=battle.error or "",
        sub_scores=[SubScore(**dict(sub_score)) for sub_score in battle.sub_scores],
        checks=[
            Check(name, found.score, found.reason or "", found.counts)
            for name, found in battle.evaluations.items()
        ],
        turns=[
            Turn(turn.index, turn.speaker, turn.text, [_tool(call) for call in turn.tool_calls])
            for turn in battle.turns
        ],
    )


def _tool(call: ToolCall) -> ToolUse:
    failed = call.error is not None
    return ToolUse(call.name, call.arguments, call.error or call.result or "", failed)


def _difficulty(everything: Sequence[Battle], names: dict[str, str]) -> list[DifficultyRow]:
    met: dict[str, list[Battle]] = {}
    for battle in everything:
        if battle.rated:
            met.setdefault(battle.persona_id, []).append(battle)
    return [
        DifficultyRow(
            persona_id=persona_id,
            persona_name=names.get(persona_id, persona_id),
            mean_score=sum(battle.score or 0.0 for battle in its) / len(its),
            battles=len(its),
            walk_aways=sum(battle.ended_by == "walk_away" for battle in its),
            metrics=_metrics(its),
        )
        for persona_id, its in met.items()
    ]


def _metrics(its: Sequence[Battle]) -> dict[str, float]:
    scores = defaultdict[str, list[float]](list)
    for battle in its:
        for sub_score in battle.sub_scores:
            scores[sub_score.name].append(sub_score.score)
    return {name: fmean(found) for name, found in scores.items()}


def _ratings(session: Any, run: Run, names: dict[str, str]) -> list[Rating]:
    return [
        Rating(
            name=names.get(rated.id, rated.id) if rated.kind == "persona" else rated.id,
            kind=rated.kind,
            # Tenths of a point would be noise.
            rating=round(rated.rating),
            low=round(rated.low),
            high=round(rated.high),
            battles=rated.battles,
        )
        for rated in ratings.read_ratings(session, run.workflow_id, batch_id=run.id)
    ]


def _breakthroughs(session: Any, batch_id: str) -> list[BreakthroughCard]:
    return [
        BreakthroughCard(
            title=found.tactic.title,
            tactic=found.tactic.tactic,
            snippet=found.tactic.snippet,
            state=found.status,
            battle_id=found.battle_id,
            confirmed=confirmation(found),
        )
        for found in breakthroughs.read_breakthroughs(session, batch_id=batch_id)
    ]
