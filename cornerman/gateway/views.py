"""What the monitor shows, read from storage in the shape in which it goes out."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import Any

from cornerman.domain.battles import Battle
from cornerman.domain.money import pico_to_usd, usd_to_pico
from cornerman.domain.runs import BudgetState, Run
from cornerman.domain.statistics import mean_interval
from cornerman.domain.training.evaluation import Column
from cornerman.report.evaluation import EvaluatedCase, EvaluatedColumn
from cornerman.report.text import as_text
from cornerman.settings import Settings
from cornerman.storage import battles, breakthroughs, budgets, events, ledger, runs, workflows
from cornerman.storage import personas as persona_rows
from cornerman.storage import ratings as rating_rows
from cornerman.storage.run_reads import read_live_heads
from cornerman.tasks.report_evaluation import evaluation_section
from cornerman.tasks.training_context import day_budget_name

TRAINER = "agentensor_trainer"
_SCALE = 100.0
# Enough for every chart; a sandbox with more shows its newest.
_MOST_BATTLES = 2_000
_MOST_EVENTS = 20_000
_MOST_BATCHES = 60
# Of cases on which columns differ, and of their texts; the report has more.
_MOST_DIFFERING = 20
_GLANCE = 400


def interval(scores: list[float]) -> dict[str, Any]:
    """Mean of battle scores with its 95% interval."""
    return mean_interval(scores, scale=_SCALE).as_dict()


def scores_of(held: list[Battle]) -> list[float]:
    """Scores that count: rated, and no re-run of another battle."""
    return [b.score for b in held if b.rated and b.score is not None and b.confirms is None]


def summary(session: Any, workflow: str | None, settings: Settings) -> dict[str, Any]:
    """The cards: battles, average, budgets, breakthroughs, kill-switch, runs."""
    live = read_live_heads(session, finished_since=datetime.now(UTC))
    known = workflows.read_workflow_ids(session)
    newest = runs.read_runs(session, limit=1)
    chosen = workflow or (newest[0].workflow_id if newest else (known[0] if known else ""))
    held = battles.read_battles(session, workflow_id=chosen, limit=_MOST_BATTLES)
    states = Counter(
        b.status for b in breakthroughs.read_breakthroughs(session, workflow_id=chosen)
    )
    shown = runs.read_runs(session, active=True, limit=20)
    shown += runs.read_runs(session, active=False, limit=10)
    names = ("pending_review", "reviewed", "promoted", "rejected")
    return {
        "workflow_id": chosen,
        "workflows": known,
        "simulated": _is_simulated(newest, settings),
        "kill_switch": budgets.read_kill_switch(session).as_dict(),
        "battles": len(held),
        "average_score": interval(scores_of(held)),
        "budgets": _budgets(session, shown, settings),
        "breakthroughs": {name: states.get(name, 0) for name in names},
        "runs": [run_brief(run, ledger.read_run_cost_pico(session, run.id)) for run in shown],
        # Where the stream of all runs should begin so that nothing lies between it and this.
        "after": ",".join(f"{head.id}:{head.last_seq}" for head in live.values()),
    }


def _is_simulated(newest: list[Run], settings: Settings) -> bool:
    return newest[0].simulated if newest else settings.simulated


def _budgets(session: Any, shown: list[Run], settings: Settings) -> dict[str, Any]:
    """Budgets of the newest batch, the day and the newest training run; None: nothing booked."""
    day = day_budget_name(simulated=settings.simulated)
    batch = next((run for run in shown if run.kind == "battle"), None)
    train = next((run for run in shown if run.kind == "train"), None)
    return {
        "batch": batch and _budget(session, f"batch:{batch.id}", settings.batch_budget_usd),
        "day": _budget(session, day, settings.daily_budget_usd),
        "run": train and _known_budget(session, f"run:{train.id}"),
    }


def _budget(session: Any, name: str, limit_usd: float) -> dict[str, Any]:
    state = ledger.read_budget(session, name)
    return _budget_body(state or BudgetState(name, usd_to_pico(limit_usd), 0, 0))


def _known_budget(session: Any, name: str) -> dict[str, Any] | None:
    state = ledger.read_budget(session, name)
    return None if state is None else _budget_body(state)


def _budget_body(state: BudgetState) -> dict[str, Any]:
    return {
        "limit_usd": pico_to_usd(state.limit_pico),
        "spent_usd": pico_to_usd(state.spent_pico),
        "reserved_usd": pico_to_usd(state.reserved_pico),
    }


def run_brief(run: Run, cost_pico: int) -> dict[str, Any]:
    """A run as lists show it: without its dataset and its results."""
    optimizer = run.request.get("optimizer") or {}
    return {
        "id": run.id,
        "kind": run.kind,
        "workflow_id": run.workflow_id,
        "status": run.status,
        "stopped_by": run.stopped_by,
        "request": {
            "optimizer": {"epochs": optimizer.get("epochs")},
            "batch_size": run.request.get("batch_size"),
        },
        "metrics": run.metrics_at(cost_pico),
        "cost_usd": pico_to_usd(cost_pico),
        "simulated": run.simulated,
        "error": run.error and {"message": run.error.get("message", "")},
        "created_at": run.created_at.isoformat(),
        "started_at": run.started_at and run.started_at.isoformat(),
        "finished_at": run.finished_at and run.finished_at.isoformat(),
    }


def battle_list(session: Any, workflow: str | None, limit: int) -> dict[str, Any]:
    """The newest battles, and each batch's average."""
    held = battles.read_battles(session, workflow_id=workflow, limit=_MOST_BATTLES)
    by_batch: dict[str, list[Battle]] = defaultdict(list)
    for battle in held:
        by_batch[battle.batch_id].append(battle)
    names = _persona_names(session, {battle.workflow_id for battle in held})
    newest = list(reversed(held[-limit:]))
    # An interval takes milliseconds, and a trend of more batches cannot be read.
    shown = list(by_batch.items())[-_MOST_BATCHES:]
    return {
        "battles": [battle_body(battle, names) for battle in newest],
        "batches": [_batch_body(session, name, group) for name, group in shown],
    }


def _batch_body(session: Any, batch_id: str, held: list[Battle]) -> dict[str, Any]:
    run = runs.read_run(session, batch_id)
    return {
        "id": batch_id,
        "average_score": interval(scores_of(held)),
        "battles": len(held),
        "created_at": run and run.created_at.isoformat(),
        "finished_at": run and run.finished_at and run.finished_at.isoformat(),
        "simulated": any(battle.simulated for battle in held),
    }


def battle_body(battle: Battle, names: dict[tuple[str, str], str]) -> dict[str, Any]:
    """A battle with its persona's name."""
    body = battle.model_dump(mode="json")
    name = names.get((battle.workflow_id, battle.persona_id), battle.persona_id)
    return body | {"persona_name": name}


def one_battle(session: Any, battle_id: str) -> dict[str, Any] | None:
    """A battle with its turns and the referee's evidence."""
    battle = battles.read_battle(session, battle_id)
    if battle is None:
        return None
    setting = battles.read_setting(session, battle_id)
    names = {} if setting is None else {(battle.workflow_id, battle.persona_id): setting[0].name}
    scenario = None if setting is None else setting[1].model_dump(mode="json")
    return battle_body(battle, names) | {"scenario": scenario}


def _persona_names(session: Any, ids: set[str]) -> dict[tuple[str, str], str]:
    return {
        (workflow, persona.id): persona.name
        for workflow in sorted(ids)
        for persona in persona_rows.read_personas(session, workflow)
    }


def training(session: Any, workflow: str) -> dict[str, Any]:
    """The newest training run with its epochs and its newest cases."""
    newest = runs.read_runs(session, kind="train", workflow_id=workflow, limit=1)
    if not newest:
        return {"run": None, "epochs": [], "latest": []}
    run = newest[0]
    log = [e for e in events.read_events(session, run.id, limit=_MOST_EVENTS) if e.node == TRAINER]
    cases = [e.payload for e in log if e.event == "training_progress"]
    return {
        "run": run_brief(run, ledger.read_run_cost_pico(session, run.id)),
        "epochs": [e.payload for e in log if e.event == "training_epoch_complete"],
        "latest": list(reversed(cases[-20:])),
    }


def evaluation(session: Any, workflow: str) -> dict[str, Any]:
    """The newest evaluation with its columns and, once it has ended, the cases that differ."""
    newest = runs.read_runs(session, kind="evaluate", workflow_id=workflow, limit=1)
    if not newest:
        return {"run": None, "columns": [], "cases": []}
    run = newest[0]
    brief = run_brief(run, ledger.read_run_cost_pico(session, run.id))
    total = run.metrics.get("cases_total")
    if not run.finished:
        # To score columns anew with every case would take longer than the case.
        columns = [
            {"id": c["id"], "name": Column(**c).name} for c in run.request.get("columns", ())
        ]
        return {"run": brief, "done": run.last_seq, "total": total, "columns": columns, "cases": []}
    section = evaluation_section(session, run, traced=False)
    return {
        "run": brief,
        "done": sum(len(case.answers) for case in section.cases),
        "total": total,
        "verdict": section.verdict,
        "failures": list(section.failures),
        "columns": [_column_body(column) for column in section.columns],
        "differ": section.differ,
        "cases": [_differing_body(case) for case in section.differing[:_MOST_DIFFERING]],
    }


def _column_body(column: EvaluatedColumn) -> dict[str, Any]:
    change = column.change
    return {
        "id": column.id,
        "name": column.name,
        "judged": column.judged,
        "score": column.score and vars(column.score),
        "against": column.against,
        "change": change and {"value": change.mean, "low": change.low, "high": change.high},
        "cost_usd": column.cost_usd,
    }


def _differing_body(case: EvaluatedCase) -> dict[str, Any]:
    inputs = case.inputs.values() if isinstance(case.inputs, dict) else [case.inputs]
    answers = [
        {
            "column": answer.column,
            "status": answer.status,
            "score": answer.score,
            "output": answer.error or as_text(answer.output)[:_GLANCE],
        }
        for answer in case.answers
    ]
    said = " ".join(as_text(held) for held in inputs)[:_GLANCE]
    return {"case_id": case.case_id, "said": said, "answers": answers}


def ratings(session: Any, workflow: str) -> dict[str, Any]:
    """Agent versions and personas on one scale, the strongest first."""
    names = _persona_names(session, {workflow})
    found = rating_rows.read_ratings(session, workflow)
    return {
        "ratings": [
            vars(rating) | {"name": names.get((workflow, rating.id), rating.id)} for rating in found
        ]
    }


def personas(session: Any, workflow: str) -> dict[str, Any]:
    """Personas with how hard they were for the agent."""
    met: dict[str, list[Battle]] = defaultdict(list)
    for battle in battles.read_battles(session, workflow_id=workflow, limit=_MOST_BATTLES):
        met[battle.persona_id].append(battle)
    found = persona_rows.read_personas(session, workflow)
    return {"personas": [_persona_body(persona, met.get(persona.id, [])) for persona in found]}


def _persona_body(persona: Any, met: list[Battle]) -> dict[str, Any]:
    score = interval(scores_of(met))
    by_name: dict[str, list[float]] = defaultdict(list)
    for battle in met:
        for sub in battle.sub_scores if battle.rated else ():
            by_name[sub.name].append(sub.score)
    return {
        "id": persona.id,
        "name": persona.name,
        "active": persona.active,
        "difficulty": persona.difficulty,
        "battles": sum(battle.status in ("scored", "unscored") for battle in met),
        "mean_score": score["value"],
        "low": score["low"],
        "high": score["high"],
        "walk_aways": sum(battle.ended_by == "walk_away" for battle in met),
        "sub_scores": {name: sum(held) / len(held) for name, held in by_name.items()},
    }
