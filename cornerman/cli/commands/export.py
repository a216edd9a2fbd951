"""`cornerman runs export`: a run's cases as a dataset, above all those that failed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cornerman.cli.case_files import add_cases, require_jsonl
from cornerman.cli.output import Out
from cornerman.cli.store import database, find_run
from cornerman.domain.errors import BadInputError, CornermanError

if TYPE_CHECKING:
    from cornerman.domain.runs import Run
    from cornerman.domain.training.cases import Case
    from cornerman.storage.database import Database


def export_run(
    out: Out,
    run_id: str,
    output: Path,
    *,
    failed: bool,
    below: float | None,
    candidate: str | None,
) -> None:
    """Add a run's cases to a file; the same ones are never there twice.

    Raises:
        NotFoundError: There is no such run.
        BadInputError: It has no such cases, the bar is none on its scale, or the file holds
            something else.
    """
    require_jsonl(output)
    with database() as db:
        run = find_run(db, run_id)
        bar = _bar(run, failed, below)
        if run.kind == "train":
            cases, left, notes = _of_training(db, run, bar, candidate)
        else:
            cases, left, notes = _of_batch(db, run, bar, candidate)
    added, known = add_cases(output, cases)
    out.document(
        {
            "run_id": run.id,
            "kind": run.kind,
            "output": str(output),
            "below": bar,
            "found": len(cases),
            "added": added,
            "known": known,
            "left_out": dict(left),
            "notes": notes,
        }
    )
    what = "cases" if run.kind == "train" else "battles"
    under = "" if bar is None else f" under {bar:g}"
    out.say(f"{len(cases)} {what}{under}: {added} added to {output}, {known} there already.")
    for reason, count in left.most_common():
        out.say(f"left out: {count} {reason}", style="dim")
    for note in notes:
        out.say(note, style="yellow")


def _bar(run: Run, failed: bool, below: float | None) -> float | None:
    """The score that a case must be under; None: every case is wanted.

    Raises:
        BadInputError: It is outside the run's scale, or the run has no cases.
    """
    from cornerman.domain.training.cases import PASS_THRESHOLD
    from cornerman.domain.training.failures import BATTLE_SCALE

    if run.kind not in ("train", "battle"):
        raise BadInputError(
            f"Run {run.id!r} is a {run.kind} run, which has no cases.",
            field="run_id",
            hint="Type: cornerman runs list",
        )
    scale = 1 if run.kind == "train" else BATTLE_SCALE
    if below is None:
        return PASS_THRESHOLD * scale if failed else None
    if not 0 < below <= scale:
        raise BadInputError(
            f"--below is {below:g}; scores of a {run.kind} run go from 0 to {scale}.",
            field="below",
        )
    return below


def _of_training(
    db: Database, run: Run, bar: float | None, candidate: str | None
) -> tuple[list[dict[str, Any]], Counter[str], list[str]]:
    from cornerman.domain.training.failures import failed_cases
    from cornerman.storage.cases import read_candidates, read_case_results

    wanted = candidate or run.best_candidate_id
    with db.reading() as session:
        results = read_case_results(session, run.id, candidate_id=wanted)
        there = [] if results else [one.id for one, _ in read_candidates(session, run.id)]
    if not results:
        raise BadInputError(
            f"Run {run.id!r} has no results of candidate {wanted!r}; it has: "
            f"{', '.join(there) or 'no candidate'}.",
            field="candidate" if candidate else "run_id",
        )
    known, notes = _dataset(run)
    cases, left = failed_cases(results, bar, run.id, known)
    return cases, left, notes


def _dataset(run: Run) -> tuple[dict[str, Case], list[str]]:
    """The cases that the run was given, by id, for what its results do not keep: metadata."""
    from pydantic import ValidationError

    from cornerman.domain.datasets import DatasetOptions
    from cornerman.domain.datasets.load import load_cases

    try:
        options = DatasetOptions.model_validate(run.request["dataset"])
        return {case.id: case for case in load_cases(options)}, []
    except (KeyError, ValidationError, CornermanError) as error:
        said = error.message if isinstance(error, CornermanError) else "it is not in the request"
        return {}, [
            f"Without the metadata of the cases: the run's dataset cannot be read ({said})."
        ]


def _of_batch(
    db: Database, run: Run, bar: float | None, candidate: str | None
) -> tuple[list[dict[str, Any]], Counter[str], list[str]]:
    """The battles as the cases that training on battles uses, with the same people and seeds."""
    from cornerman.domain.training.failures import lost_battles
    from cornerman.flows.battle_workflow import read_battle_workflow
    from cornerman.storage.battles import read_battles, read_setting
    from cornerman.tasks.battle_agent import battle_case

    if candidate is not None:
        raise BadInputError(
            "--candidate is for training runs; a batch has one agent.", field="candidate"
        )
    cases = list[dict[str, Any]]()
    with db.reading() as session:
        workflow = read_battle_workflow(session, run.workflow_id)
        lost, left = lost_battles(read_battles(session, batch_id=run.id), bar)
        for battle in lost:
            setting = read_setting(session, battle.id)
            assert setting is not None, "every battle is stored with its setting"
            persona, scenario = setting
            met = persona.model_copy(update={"scenario": scenario})
            cases.append(
                {
                    "id": battle.id,
                    "inputs": battle_case(workflow, met, battle.seed),
                    "expected_output": None,
                    "metadata": {"persona_id": persona.id, "from": run.id, "score": battle.score},
                }
            )
    return cases, left, []
