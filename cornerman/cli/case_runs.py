"""What `train` and `evaluate` share: how a run that scores cases is begun, continued and told."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from cornerman.cli.output import FAILED, STOPPED, CommandError, Out
from cornerman.cli.store import database
from cornerman.domain.errors import BadInputError, CornermanError, RunCancelledError

if TYPE_CHECKING:
    from cornerman.domain.training.options import OptimizerOptions
    from cornerman.settings import Settings


# What stands in a stored request in place of a secret.
_MASKS = ("***", "(not stored)")


def refuse_masked(run_id: str, stored: dict[str, Any], command: str) -> None:
    """Refuse to go on with a stored request that had secrets.

    Raises:
        BadInputError: It had; the spec must be given again.
    """
    held = json.dumps([stored.get(part) for part in ("graph_config", "evaluators")])
    if any(f'"{mask}"' in held for mask in _MASKS):
        raise BadInputError(
            f"Run {run_id!r} was started with secrets in its spec, which are not stored.",
            field="spec",
            hint=f"Give the spec again: cornerman {command} SPEC --resume {run_id}",
        )


def refuse_other_request(
    run_id: str,
    stored: dict[str, Any],
    given: dict[str, Any],
    changeable: Iterable[str],
    command: str,
) -> None:
    """Refuse to go on with another request than the run's.

    Args:
        changeable: Fields of `optimizer` that may differ.

    Raises:
        BadInputError: They differ in another field.
    """
    # The stored form went through a database, so both are compared as JSON.
    given, stored = json.loads(json.dumps(given)), json.loads(json.dumps(stored))
    for held in (given, stored):
        for name in changeable:
            held.get("optimizer", {}).pop(name, None)
    differing = sorted(_differences(given, stored))
    if differing:
        raise BadInputError(
            f"{differing[0]}: differs from run {run_id!r}, which could not be continued exactly; "
            f"only {', '.join(changeable)} may change.",
            field=differing[0],
            hint=f"Start a new run: cornerman {command} SPEC",
        )


def _differences(given: Any, stored: Any, path: str = "") -> list[str]:
    if isinstance(given, dict) and isinstance(stored, dict):
        found = list[str]()
        for key in {*given, *stored}:
            where = f"{path}.{key}" if path else str(key)
            found += _differences(given.get(key), stored.get(key), where)
        return found
    return [] if given == stored else [path]


def refuse_both_ids(resume: str | None, run_id: str | None) -> None:
    """Refuse --run-id beside --resume.

    Raises:
        BadInputError: Both were given, and differ.
    """
    if resume is not None and run_id not in (None, resume):
        raise BadInputError("--run-id names a new run; give it or --resume.", field="run_id")


def refuse_known(run_id: str | None, command: str) -> None:
    """Refuse to begin a run under an id that is there.

    Raises:
        BadInputError: It is.
    """
    from cornerman.storage.runs import read_run

    if run_id is None:
        return
    with database() as db, db.reading() as session:
        known = read_run(session, run_id)
    if known is not None:
        raise BadInputError(
            f"Run {run_id!r} is there already.",
            field="run_id",
            hint=f"Continue it with: cornerman {command} --resume {run_id}",
        )


def of_run(error: CornermanError, run_id: str, command: str) -> BaseException:
    """The error with the run that it ended; bad input ends a run before there is one."""
    if isinstance(error, BadInputError):
        return error
    return CommandError(
        error, hint=f"Continue it with: cornerman {command} --resume {run_id}", run_id=run_id
    )


def say_limits(out: Out, optimizer: OptimizerOptions, settings: Settings) -> None:
    """Who answers, and how many cases run at once where fewer than were asked for."""
    if settings.simulated:
        out.note("Simulated: the rehearsal endpoint answers, not a language model.")
    at_once = optimizer.cases_at_once(settings.max_concurrent_cases)
    if optimizer.max_concurrency > at_once:
        out.note(
            f"{optimizer.max_concurrency} cases at once were asked for; "
            f"{at_once} is the most that run (MAX_CONCURRENT_CASES)."
        )


def refuse_cancelled(result: dict[str, Any], command: str) -> None:
    """Fail for a run that was cancelled, by Ctrl-C or from elsewhere.

    Raises:
        CommandError: It was.
    """
    run_id = result["run_id"]
    if result["status"] == "cancelled":
        raise CommandError(
            RunCancelledError(
                f"Run {run_id} was cancelled; it keeps what it has.",
                hint=f"Continue it with: cornerman {command} --resume {run_id}",
            ),
            run_id=run_id,
            cost_usd=result["cost_usd"],
        )


def exit_code(status: str) -> int:
    """A run's exit code by how it ended."""
    return {"failed": FAILED, "stopped": STOPPED}.get(status, 0)


_ENDS = {
    "length": "cut at their token limit",
    "content_filter": "filtered by the provider",
    "refusal": "refused by the model",
}


def answers_words(reasons: dict[str, int]) -> str:
    """Answers that did not come to their own end, counted by why."""
    return ", ".join(f"{count} {_ENDS.get(name, name)}" for name, count in reasons.items())
