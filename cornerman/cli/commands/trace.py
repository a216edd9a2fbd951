"""`cornerman runs trace`: the model calls of one case or battle, in order."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cornerman.cli.output import Out, usd
from cornerman.cli.store import database, find_run
from cornerman.domain.errors import NotFoundError

if TYPE_CHECKING:
    from cornerman.domain.runs import Run

_SHOWN = 600


def show_trace(out: Out, run_id: str, case_id: str, candidate: str | None, repeat: int) -> None:
    """Print a case's calls, or a battle's.

    Raises:
        NotFoundError: There is no such run, or nothing was called for that case.
    """
    from cornerman.storage.traces import read_trace

    with database() as db:
        run = find_run(db, run_id)
        subject = _subject(run, case_id, candidate, repeat)
        with db.reading() as session:
            calls = read_trace(session, run.id, subject)
    if not calls:
        raise NotFoundError(
            f"Run {run.id!r} has no calls of {subject!r}.",
            field="case_id",
            hint="Name another --candidate or --repeat; runs that were pruned keep no calls.",
        )
    out.document(calls)
    for call in calls:
        _say(out, call)


def _subject(run: Run, case_id: str, candidate: str | None, repeat: int) -> str:
    from cornerman.domain.runs import CASE_KINDS, battle_subject, case_subject, judge_subject

    if run.kind == "judge":
        return judge_subject(case_id)
    if run.kind not in CASE_KINDS:
        return battle_subject(case_id)
    return case_subject(candidate or run.best_candidate_id, case_id, repeat)


def _say(out: Out, call: dict[str, Any]) -> None:
    usage = call["usage"]
    said = (
        f"{call['seq']}. {call['role']} {call['model']}: {usage['input_tokens']} + "
        f"{usage['output_tokens']} tokens, {usd(call['cost_usd'])}, {call['latency_ms']:.0f} ms"
    )
    prompts = f", with {', '.join(call['prompts'])}" if call["prompts"] else ""
    out.say(said + prompts, style="bold")
    if call["note"]:
        out.say(f"   {call['note']}", style="yellow")
    for message in call["messages"][-3:]:
        out.say(f"   {_line(message)}", style="dim")
    for made in call["tool_calls"]:
        out.say(f"   -> {made['name']}({_short(made['arguments'])})")
    if call["response"] is not None and not call["tool_calls"]:
        out.say(f"   = {_line(call['response'])}")
    if call["error"]:
        out.say(f"   {call['error']}", style="red")


def _line(message: Any) -> str:
    if isinstance(message, dict) and "content" in message:
        return f"{message.get('role', '')}: {_short(message['content'])}"
    return _short(message)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
