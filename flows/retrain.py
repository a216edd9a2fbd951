"""The steps of `cornerman.flows.retrain`: what is new, what came of it, and who is told.

`retrain`: every night, train on from the best checkpoints where there is something new.

New is another version of the dataset, or a breakthrough that was reviewed or promoted since. The
outcome becomes the best only when it is surely better on the same cases; otherwise what there was
stays. Either way a report is written.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cornerman.domain.datasets.load import fingerprint, load_cases, split_cases
from cornerman.domain.errors import BadInputError, CornermanError, StopError
from cornerman.domain.runs import Run
from cornerman.domain.statistics import PairedInterval, paired_improvement, scores_by_case
from cornerman.domain.training import TrainParameters
from cornerman.domain.training.candidates import Checkpoint
from cornerman.domain.training.retrain import (
    Retrained,
    RetrainParameters,
    judged,
    new_breakthroughs,
    reasons_to_train,
    retrained_message,
)
from cornerman.flows.engine import Engine, open_engine, own_id
from cornerman.flows.plumbing.embedded import ServedFlow
from cornerman.flows.plumbing.reported import reported, run_name
from cornerman.flows.train import train_workflow
from cornerman.report import render_report
from cornerman.report.model import Report
from cornerman.storage import breakthroughs, cases, checkpoints, runs, workflows
from cornerman.storage.database.types import now
from cornerman.tasks.notify import Fact, notify_all
from cornerman.tasks.report import build_report

# What stands in a stored request in place of a secret.
_MASKS = ('"***"', '"(not stored)"')


@dataclass(frozen=True)
class Plan:
    """A training run that is worth its money."""

    workflow_id: str
    incumbent: Checkpoint
    parameters: TrainParameters
    reasons: tuple[str, ...]

    @property
    def run_id(self) -> str:
        return str(self.parameters.run_id)


def read_candidates(session: Any, parameters: RetrainParameters) -> list[str]:
    """Workflows to look at: those asked for, else all that have a best checkpoint."""
    if parameters.workflow_ids is not None:
        return parameters.workflow_ids
    if parameters.spec is not None:
        return [parameters.spec.workflow_id]
    known = workflows.read_workflow_ids(session)
    return [one for one in known if checkpoints.read_best_checkpoint(session, one) is not None]


async def make_plan(
    engine: Engine, parameters: RetrainParameters, workflow_id: str, night: str
) -> Plan | Retrained:
    """Find out whether a workflow has something new to learn from; if not, say why not."""
    incumbent = await engine.db.read(checkpoints.read_best_checkpoint, workflow_id)
    last = await engine.db.read(_read_last_training, workflow_id, f"retrain-{night}-")
    if incumbent is None:
        return Retrained(workflow_id, "nothing new", "it has no checkpoint to train on from")
    try:
        request = _request(parameters, workflow_id, night, last)
        dataset = await asyncio.to_thread(_fingerprint, request)
    except BadInputError as error:
        return Retrained(workflow_id, "failed", error.message)
    found = await engine.db.read(breakthroughs.read_breakthroughs, workflow_id=workflow_id)
    news = new_breakthroughs(found, None if last is None else last.created_at)
    known = None if last is None else last.request.get("dataset_fingerprint")
    reasons = reasons_to_train(known, dataset, news)
    if not reasons and parameters.force:
        reasons = ("it was asked for",)
    if not reasons:
        why = "neither its dataset nor its breakthroughs have changed since it was trained"
        return Retrained(workflow_id, "nothing new", why)
    return Plan(workflow_id, incumbent, request, reasons)


def _read_last_training(session: Any, workflow_id: str, tonight: str) -> Run | None:
    """The newest training run that ended; not tonight's own, which a retry would find."""
    for run in runs.read_runs(session, kind="train", workflow_id=workflow_id, active=False):
        if not run.id.startswith(tonight) and run.status == "completed":
            return run
    return None


def _request(
    parameters: RetrainParameters, workflow_id: str, night: str, last: Run | None
) -> TrainParameters:
    if parameters.spec is not None and parameters.spec.workflow_id == workflow_id:
        asked = parameters.spec.model_dump(mode="json")
    elif last is not None:
        asked = dict(last.request)
        asked.pop("dataset_fingerprint", None)
    else:
        raise BadInputError(
            f"Workflow {workflow_id!r} has no training run whose request could be repeated.",
            field="spec",
            hint="Give the flow a spec.",
        )
    if any(
        mask in json.dumps([asked.get("evaluators"), asked.get("graph_config")]) for mask in _MASKS
    ):
        raise BadInputError(
            f"The last request of {workflow_id!r} held secrets, which are not stored.",
            field="spec",
            hint="Give the flow a spec whose secrets are references such as ${NAME}.",
        )
    asked |= {"prompts": None, "runnable_config": None}
    stops = {"epochs": parameters.epochs, "max_cost_usd": parameters.max_cost_usd}
    asked["optimizer"] |= {name: value for name, value in stops.items() if value is not None}
    run_id = f"retrain-{night}-{workflow_id}"[:128]
    return TrainParameters.model_validate(asked | {"run_id": run_id, "promote": False})


def _fingerprint(request: TrainParameters) -> str:
    loaded = load_cases(request.dataset, Path.cwd(), request.max_cases)
    return fingerprint(loaded, split_cases(loaded, request.dataset.split), request.evaluators)


async def decide(engine: Engine, plan: Plan, result: dict[str, Any]) -> Retrained:
    """Make the outcome the workflow's best when it is surely better, else keep what there was."""
    change, where = await engine.db.read(_read_change, plan, result)
    decision, why = judged(change, where)
    best = result.get("best_checkpoint")
    if decision == "promoted" and best is not None:
        await engine.db.write(
            checkpoints.update_best, plan.workflow_id, best["id"], reason=why, by="retrain"
        )
    if result.get("stopped_by"):
        why = f"{why}; it was stopped by {result['stopped_by']}"
    return Retrained(
        workflow_id=plan.workflow_id,
        decision=decision,
        why=why,
        reasons=plan.reasons,
        run_id=plan.run_id,
        change=change,
        cost_usd=float(result.get("cost_usd") or 0.0),
    )


def _read_change(session: Any, plan: Plan, result: dict[str, Any]) -> tuple[PairedInterval, str]:
    """Compare the incumbent's prompts, as candidate c0, with the outcome, on the same cases.

    On the test split, which nothing was chosen on; without one, on validation.
    """
    best = result.get("best_checkpoint") or {}
    candidate = best.get("metadata", {}).get("candidate_id", "c0")
    before = cases.read_case_results(session, plan.run_id, candidate_id="c0")
    after = cases.read_case_results(session, plan.run_id, candidate_id=candidate)
    if candidate == "c0":
        after = []
    split = "test" if any(one.split == "test" for one in after) else "validation"
    change = paired_improvement(
        scores_by_case([one for one in before if one.split == split]),
        scores_by_case([one for one in after if one.split == split]),
        plan.parameters.optimizer.seed,
    )
    return change, f"the {split} split"


async def write_reports(
    engine: Engine, night: str, done: list[Retrained]
) -> tuple[Path, list[Retrained]]:
    """Write a page for each training run, and one that sums up the night."""
    folder = engine.settings.home / "reports"
    linked = list[Retrained]()
    for one in done:
        run = None if one.run_id is None else await engine.db.read(runs.read_run, one.run_id)
        if run is not None:
            path = folder / f"{run.id}.html"
            page = render_report(await build_report(engine.db, run.id))
            await asyncio.to_thread(_write, path, page)
            one = replace(one, report=str(path))
        linked.append(one)
    lines = [f"{one.workflow_id}: {one.decision}. {one.why}." for one in linked]
    report = Report(
        title="Nightly retraining",
        generated_at=now().isoformat(timespec="seconds"),
        simulated=engine.simulated,
        notes=lines or ["No workflow has a checkpoint to train on from."],
    )
    path = folder / f"retrain-{night}.html"
    await asyncio.to_thread(_write, path, render_report(report))
    return path, linked


def _write(path: Path, page: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


async def tell(engine: Engine, night: str, done: list[Retrained]) -> None:
    """Tell of every workflow that was trained, once."""
    facts = [
        Fact(f"retrain:{night}:{one.workflow_id}", "retrain", _message(engine, one))
        for one in done
        if one.decision != "nothing new"
    ]
    await notify_all(engine.db, engine.settings, facts)


def _message(engine: Engine, one: Retrained) -> Any:
    return retrained_message(one, simulated=engine.simulated)


async def _retrain(parameters: RetrainParameters) -> dict[str, Any]:
    """Train every workflow that has something new to learn from.

    Returns:
        `{"workflows": [{"workflow_id", "decision", "why", "reasons", "run_id", "change",
        "cost_usd", "report"}], "report": PATH}`.
    """
    night = own_id()
    async with open_engine() as engine:
        done = list[Retrained]()
        for workflow_id in await engine.db.read(read_candidates, parameters):
            plan = await make_plan(engine, parameters, workflow_id, night)
            done.append(plan if isinstance(plan, Retrained) else await _train(engine, plan))
        path, done = await write_reports(engine, night, done)
        await tell(engine, night, done)
    return {"workflows": [one.as_dict() for one in done], "report": str(path)}


async def _train(engine: Engine, plan: Plan) -> Retrained:
    """Train one workflow; one that fails is told of and does not end the night."""
    try:
        result = await train_workflow(plan.parameters)
    except StopError:
        raise
    except CornermanError as error:
        return Retrained(plan.workflow_id, "failed", error.message, plan.reasons, plan.run_id)
    return await decide(engine, plan, result)


retrain = ServedFlow(
    reported("retrain")(_retrain),
    name="retrain",
    flow_run_name=run_name,
    validate_parameters=True,
)
