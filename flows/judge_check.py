"""`cornerman judge check`: a judge before people's labels, as a run of its own."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cornerman.domain.battles.workflows import Workflow
from cornerman.domain.entrypoints import BUILTIN_EVALUATORS
from cornerman.domain.errors import BadInputError, CornermanError, KillSwitchActiveError, StopError
from cornerman.domain.judges import LabelColumns
from cornerman.domain.judges.labels import Labels, read_labels
from cornerman.domain.money import pico_to_usd, usd_to_pico
from cornerman.domain.money.ledger import CallScope
from cornerman.domain.runs import NewEvent, RunStatus
from cornerman.domain.secrets import redact_json
from cornerman.domain.training import EvaluatorOptions
from cornerman.flows.engine import Engine, open_engine
from cornerman.flows.judge import measured
from cornerman.flows.session import RunSession, run_session
from cornerman.storage import events, ledger, runs, workflows
from cornerman.tasks.judge_labels import (
    JudgedCase,
    JudgePanel,
    LabelJudge,
    evaluator_judge,
    referee_judge,
)
from cornerman.tasks.metering import AgentMetering
from cornerman.tasks.slots import CASE_TAG, SharedSlots
from cornerman.tasks.training_context import NO_LIMIT_PICO, day_budget_name

_STATUS: dict[str, RunStatus] = {"cancelled": "cancelled"}
_REQUEST = ("scale", "limit", "min_kappa", "max_cost_usd", "fresh")


@dataclass(frozen=True)
class JudgeCheck:
    """What is to be checked.

    Args:
        file: The labelled cases.
        workflow_id: Under which the run stands.
        evaluator: The judge, where it is an evaluator; else `workflow`'s referee is.
        limit: The first so many cases.
        min_kappa: The bar; None for none.
        at_once: Cases at once, at most MAX_CONCURRENT_CASES.
        fresh: Ask again about what is remembered.
    """

    file: Path
    workflow_id: str
    evaluator: EvaluatorOptions | None = None
    workflow: Workflow | None = None
    scale: str | None = None
    columns: LabelColumns | None = None
    limit: int | None = None
    min_kappa: float | None = None
    max_cost_usd: float | None = None
    at_once: int = 8
    timeout_seconds: float = 120.0
    fresh: bool = False
    run_id: str = ""

    def labels(self) -> Labels:
        """The labelled cases.

        Raises:
            BadInputError: They cannot be used.
            NotFoundError: There is no such file.
        """
        return read_labels(
            self.file,
            referee=self.workflow is not None,
            scale=self.scale,
            columns=self.columns,
            limit=self.limit,
        )


class _CheckContext:
    """A `cornerman.tasks.judge_labels.JudgingRun` of its own."""

    def __init__(self, engine: Engine, check: JudgeCheck, run_id: str) -> None:
        self.run_id = run_id
        self.db = engine.db
        self.meter = engine.meter
        self.metering: AgentMetering | None = None
        self.stopping: StopError | None = None
        settings = engine.settings
        most = min(check.at_once, settings.max_concurrent_cases)
        total = settings.max_concurrent_cases
        self.slots = SharedSlots(engine.db, CASE_TAG, most=most, total=total)
        limit = check.max_cost_usd
        self._simulated = engine.simulated
        self._budgets = {
            day_budget_name(simulated=engine.simulated): usd_to_pico(settings.daily_budget_usd),
            f"run:{run_id}": NO_LIMIT_PICO if limit is None else usd_to_pico(limit),
        }

    def scope(self, subject: str) -> CallScope:
        """Budgets and rows of a call for `subject`."""
        return CallScope(self.run_id, subject, self._budgets, self._simulated)

    def check(self) -> None:
        """Raise what stopped the run, if anything did."""
        if self.stopping is not None:
            raise self.stopping

    def stop(self, reason: StopError) -> None:
        """Start no more work; the first reason stands."""
        self.stopping = self.stopping or reason
        if self.metering is not None and isinstance(reason, KillSwitchActiveError):
            self.metering.stop(reason)


async def check_judge(check: JudgeCheck) -> dict[str, Any]:
    """Ask the judge about each case and compare; what was said of it is kept.

    Returns:
        What `cornerman judge check --json` prints. A check that was stopped has what was judged.

    Raises:
        BadInputError: It cannot be checked; nothing was spent.
        UnpricedModelError: The judge's model has no price.
        CornermanError: It failed.
    """
    labels = await asyncio.to_thread(check.labels)
    async with open_engine() as engine, engine.llm() as llm:
        judge = _judge(engine, check, labels, llm)
        if "model" in judge.facts:
            engine.endpoint.prices.require(judge.facts["model"])
        run_id = check.run_id or f"judge-{uuid.uuid4().hex[:12]}"
        await engine.db.write(_create, check, run_id, judge.facts, engine.simulated)
        context = _CheckContext(engine, check, run_id)
        async with run_session(engine.db, run_id) as session:
            return await _to_its_end(engine, context, session, check, judge, labels)


def _judge(engine: Engine, check: JudgeCheck, labels: Labels, llm: Any) -> LabelJudge:
    settings, endpoint = engine.settings, engine.endpoint.name
    if check.evaluator is not None:
        return evaluator_judge(check.evaluator, llm, settings, endpoint, field="evaluators")
    if check.workflow is None:
        raise BadInputError("Neither an evaluator nor a referee is named.", field="judge")
    return referee_judge(check.workflow, labels, llm, settings, endpoint)


async def _to_its_end(
    engine: Engine,
    context: _CheckContext,
    session: RunSession,
    check: JudgeCheck,
    judge: LabelJudge,
    labels: Labels,
) -> dict[str, Any]:
    async def told(judged: JudgedCase) -> None:
        await engine.db.write(events.create_event, context.run_id, _event(judged, labels))

    panel = JudgePanel(
        context,
        judge,
        labels.cases,
        timeout_seconds=check.timeout_seconds,
        fresh=check.fresh,
        told=told,
    )
    stop: StopError | None = None
    session.on_kill_switch(lambda reason: context.stop(KillSwitchActiveError(reason)))
    try:
        await context.slots.open(session.owner)
        if check.evaluator and check.evaluator.entrypoint not in BUILTIN_EVALUATORS:
            # A judge in the user's own code may call a model with a library of its own.
            context.metering = AgentMetering(engine.settings, engine.endpoint)
            context.metering.open(context)
        await session.guard(panel.ask_all())
    except StopError as stopped:
        stop = stopped
    except Exception as error:
        await engine.db.write(_fail, context.run_id, error)
        raise
    finally:
        if context.metering is not None:
            await context.metering.close()
        await context.slots.close()
    found = measured(judge, labels, panel.judged, check.min_kappa)
    head = {"run_id": context.run_id, "file": str(check.file), "simulated": engine.simulated}
    return await engine.db.write(_finish, head | found, stop)


def _event(judged: JudgedCase, labels: Labels) -> NewEvent:
    labelled = judged.labelled
    payload = {
        "case_id": labelled.case.id,
        "label": labels.as_given(labelled.label),
        "score": None if judged.score is None else labels.as_given(judged.score),
        "error": judged.error or None,
        "remembered": judged.remembered,
    }
    return NewEvent("agentensor_trainer", "judge_progress", payload)


def _create(
    session: Any, check: JudgeCheck, run_id: str, facts: dict[str, Any], simulated: bool
) -> None:
    workflows.create_workflow(session, check.workflow_id)
    request = {"file": str(check.file), "judge": facts}
    runs.create_run(
        session,
        run_id=run_id,
        kind="judge",
        workflow_id=check.workflow_id,
        request=request | {name: getattr(check, name) for name in _REQUEST},
        random_state={},
        simulated=simulated,
    )


def _finish(session: Any, found: dict[str, Any], stop: StopError | None) -> dict[str, Any]:
    run_id, stopped_by = found["run_id"], None if stop is None else stop.stopped_by
    ledger.settle_run_calls(session, run_id)
    status = "completed" if stop is None else _STATUS.get(stop.stopped_by, "stopped")
    cost = pico_to_usd(ledger.read_run_cost_pico(session, run_id))
    result = redact_json(
        {
            **found,
            "status": status,
            "stopped_by": stopped_by,
            "stopped_because": None if stop is None else stop.message,
            "cost_usd": cost,
            "model_calls": ledger.count_run_calls(session, run_id),
        }
    )
    # A check that was stopped has passed nothing.
    result["passed"] = result["passed"] and stop is None
    facts = {name: value for name, value in result.items() if name != "differences"}
    events.create_event(session, run_id, NewEvent("agentensor_trainer", "judge_checked", facts))
    runs.update_run_metrics(session, run_id, {"kappa": found["kappa"]["value"]})
    runs.finish_run(session, run_id, status=status, stopped_by=stopped_by, result=result)
    return result


def _fail(session: Any, run_id: str, error: Exception) -> None:
    ledger.settle_run_calls(session, run_id)
    hint = error.hint if isinstance(error, CornermanError) else ""
    facts = {"type": type(error).__name__, "message": str(error), "hint": hint}
    runs.finish_run(session, run_id, status="failed", stopped_by="error", error=facts)
