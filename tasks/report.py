"""The report of a run, from what is stored; also while the run goes on."""

from __future__ import annotations

from typing import Any

from cornerman.domain.errors import BadInputError, NotFoundError
from cornerman.domain.runs import Run
from cornerman.report.evaluation import EvaluationSection
from cornerman.report.model import BattleSection, Report, TrainingSection
from cornerman.storage import runs
from cornerman.storage.database import Database
from cornerman.storage.database.types import now
from cornerman.tasks.report_battles import battle_section
from cornerman.tasks.report_evaluation import evaluation_section
from cornerman.tasks.report_training import training_section


async def build_report(db: Database, *run_ids: str, title: str | None = None) -> Report:
    """The report of a training run, an evaluation, a battle batch, or of one of each.

    Raises:
        NotFoundError: There is no such run.
        BadInputError: A run of another kind, or two of the same.
    """
    return await db.read(_build, run_ids, title)


def _build(session: Any, run_ids: tuple[str, ...], title: str | None) -> Report:
    held = [_must_read(session, run_id) for run_id in run_ids]
    training: TrainingSection | None = None
    evaluation: EvaluationSection | None = None
    battles: BattleSection | None = None
    for run in held:
        if run.kind == "train" and training is None:
            training = training_section(session, run)
        elif run.kind == "evaluate" and evaluation is None:
            evaluation = evaluation_section(session, run)
        elif run.kind == "battle" and battles is None:
            battles = battle_section(session, run)
        else:
            raise BadInputError(
                f"Run {run.id!r} is a {run.kind} run; a report has one training run, one "
                "evaluation, one battle batch, or one of each.",
                field="run_id",
            )
    return Report(
        title=title or _title(held),
        generated_at=now().isoformat(timespec="seconds"),
        simulated=any(run.simulated for run in held),
        training=training,
        evaluation=evaluation,
        battles=battles,
        notes=_notes(held),
    )


def _must_read(session: Any, run_id: str) -> Run:
    run = runs.read_run(session, run_id)
    if run is None:
        raise NotFoundError(
            f"There is no run {run_id!r}.", field="run_id", hint="Type: cornerman runs list"
        )
    return run


def _title(held: list[Run]) -> str:
    words = {"train": "training", "evaluate": "evaluation", "battle": "battles"}
    return ", ".join(f"{run.workflow_id}: {words[run.kind]}" for run in held)


def _notes(held: list[Run]) -> list[str]:
    notes = list[str]()
    if any(run.simulated for run in held):
        notes.append(
            "All of its text came from the rehearsal endpoint, not from a language model, and "
            "its prices are play money."
        )
    for run in held:
        if not run.finished:
            notes.append(f"Run {run.id} goes on; this is how far it was.")
        if run.error:
            notes.append(f"Run {run.id} failed: {run.error.get('message', '')}")
    return notes
