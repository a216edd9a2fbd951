"""What each model call said, beside its line in the ledger; and answers kept for a resumed case."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, bindparam, func, insert, select, update
from sqlalchemy.orm import Session

from cornerman.domain.money import pico_to_usd
from cornerman.domain.traces import CallTrace, RecordCalls, Recorded, Recorder, Replay
from cornerman.storage.database.types import as_dict
from cornerman.storage.tables import call_traces, llm_calls

# Written once: building a statement costs more than running it.
_NEXT = select(func.coalesce(func.max(call_traces.c.seq), 0) + 1).where(
    call_traces.c.run_id == bindparam("of_run"), call_traces.c.subject == bindparam("of_subject")
)
_INSERT = insert(call_traces).values(seq=_NEXT.scalar_subquery())
_FORGET = (
    update(call_traces)
    .where(call_traces.c.run_id == bindparam("of_run"))
    .where(call_traces.c.subject == bindparam("of_subject"))
    .values(replay=None, has_replay=False)
)


def recorder(record_calls: RecordCalls) -> Recorder:
    """What keeps a call's trace: all of it, or what it took without what it said."""
    return create_trace if record_calls == "full" else _create_without_text


def _create_without_text(session: Session, call_id: str, recorded: Recorded) -> None:
    trace = recorded.trace
    plain = CallTrace(trace.role, trace.model, trace.prompts, note=trace.note)
    create_trace(session, call_id, Recorded(recorded.scope, plain))


def create_trace(session: Session, call_id: str, recorded: Recorded) -> None:
    """Keep a call's trace; within the transaction that settles the call."""
    scope, replay = recorded.scope, recorded.replay
    row = {
        "call_id": call_id,
        "run_id": scope.run_id,
        "subject": scope.subject,
        "of_run": scope.run_id,
        "of_subject": scope.subject,
        "content": recorded.trace.content(),
        "replay": None if replay is None else _kept(replay),
        "has_replay": replay is not None,
    }
    session.execute(_INSERT, row)


def _kept(replay: Replay) -> dict[str, str]:
    return {"digest": replay.digest, "type": replay.content_type, "body": replay.body}


def read_trace(session: Session, run_id: str, subject: str) -> list[dict[str, Any]]:
    """A subject's calls in order, as `cornerman runs trace --json` prints them."""
    query = (
        select(call_traces, llm_calls)
        .join(llm_calls, llm_calls.c.id == call_traces.c.call_id)
        .where(call_traces.c.run_id == run_id, call_traces.c.subject == subject)
        .order_by(call_traces.c.seq)
    )
    calls, before = list[dict[str, Any]](), list[Any]()
    for row in session.execute(query):
        call = _shown(row, before)
        before = call["messages"]
        calls.append(call)
    return calls


def _shown(row: Row[Any], before: list[Any]) -> dict[str, Any]:
    content: dict[str, Any] = row.content
    return {
        "seq": row.seq,
        "role": row.role,
        "model": row.model,
        "attempt": row.attempt,
        "prompts": content["prompts"],
        # A long agent's calls hold each other's messages: only what is new is kept with each.
        "messages": [*before[: content["shared"]], *content["messages"]],
        "tools": content["tools"],
        "response": content["response"],
        "tool_calls": content["tool_calls"],
        "usage": {
            "input_tokens": row.input_tokens,
            "cached_tokens": row.cached_tokens,
            "output_tokens": row.output_tokens,
        },
        "cost_usd": pico_to_usd(row.cost_pico),
        "latency_ms": row.latency_ms,
        "error": row.error if row.outcome not in {"ok", "cached"} else None,
        "outcome": row.outcome,
        "began_at": row.created_at.isoformat(),
        "ended_at": (row.settled_at or row.created_at).isoformat(),
        "note": content["note"],
    }


def read_replays(session: Session, run_id: str, subject: str) -> list[Replay]:
    """What an interrupted subject's calls were answered, in order."""
    query = (
        select(call_traces.c.replay)
        .where(call_traces.c.run_id == run_id, call_traces.c.subject == subject)
        .where(call_traces.c.has_replay.is_(True))
        .order_by(call_traces.c.seq)
    )
    found = [as_dict(row)["replay"] for row in session.execute(query)]
    return [Replay(kept["digest"], kept["type"], kept["body"]) for kept in found]


def forget_replays(session: Session, run_id: str, subject: str) -> None:
    """Drop a subject's answers once it has its result: nobody asks for them again."""
    session.execute(_FORGET, {"of_run": run_id, "of_subject": subject})
