"""Battles so good that their tactic should be kept, and what becomes of the tactic."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from difflib import SequenceMatcher
from statistics import fmean
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cornerman.domain.battles import Record, Turn
from cornerman.domain.conversation import ChatMessage
from cornerman.domain.errors import BadInputError, LLMError
from cornerman.domain.personas import Scenario
from cornerman.domain.transcripts import (
    OPEN_NAMES,
    fenced_transcript,
    find_quote,
    json_object,
)

BreakthroughStatus = Literal["pending_review", "reviewed", "promoted", "rejected"]

# A rejected tactic may be looked at again; a promoted one is part of a checkpoint and stays.
_NEXT: dict[BreakthroughStatus, tuple[BreakthroughStatus, ...]] = {
    "pending_review": ("reviewed", "rejected"),
    "reviewed": ("promoted", "rejected"),
    "rejected": ("pending_review",),
    "promoted": (),
}
_STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an and as at be but by for from he her his in into is it its of on or she so that the "
        "their them then they this to when while with who which what",
    )
)
_SAME_WORDS = 0.6
_SAME_TEXT = 0.85


class Tactic(Record):
    """What the agent did that worked: found once for a battle.

    Args:
        defining_turn: Index of the agent's turn that decided it.
        snippet: Quoted from that turn.
    """

    title: str
    tactic: str
    defining_turn: int
    snippet: str


class Breakthrough(Record):
    """A tactic with where it was seen and what was decided about it.

    Args:
        reason: Why the battle counted as one.
        confirmed: Whether re-runs with other seeds held up; None when there were none.
        merged_battle_ids: Later battles that showed the same tactic.
    """

    id: str
    battle_id: str
    batch_id: str
    workflow_id: str
    persona_id: str
    agent_version: str = "c0"
    score: float = Field(ge=0, le=100)
    reason: str
    tactic: Tactic
    status: BreakthroughStatus = "pending_review"
    confirmed: bool | None = None
    merged_battle_ids: tuple[str, ...] = ()
    simulated: bool = False
    created_at: datetime | None = None


def is_breakthrough(
    score: float | None,
    history: Sequence[float],
    threshold: float = 95,
    margin: float = 15,
    min_history: int = 3,
) -> str | None:
    """Why a score is a breakthrough, or None when it is none.

    Args:
        score: The battle's; None when unscored, which never is one.
        history: The agent's earlier rated scores against the same persona.
        margin: How far above their mean a score must lie; it must beat the best of them too, so
            that a scattered history does not make one of every good day.
        min_history: With fewer earlier scores only the threshold counts.
    """
    if score is None:
        return None
    if score >= threshold:
        return f"score {score:.1f} is at least {threshold:g}"
    if len(history) < max(min_history, 1):
        return None
    mean = fmean(history)
    if score >= mean + margin and score > max(history):
        return (
            f"score {score:.1f} is {score - mean:.1f} above the mean of {len(history)} earlier "
            f"battles with this persona ({mean:.1f})"
        )
    return None


def is_confirmed(reruns: Sequence[float | None], threshold: float) -> bool | None:
    """Whether re-runs with other seeds hold up: at least half of the scored ones reach it.

    None when none was scored.
    """
    scored = [score for score in reruns if score is not None]
    if not scored:
        return None
    return 2 * sum(score >= threshold for score in scored) >= len(scored)


def allowed_transitions(status: BreakthroughStatus) -> tuple[BreakthroughStatus, ...]:
    """The states that may follow this one."""
    return _NEXT[status]


def check_transition(status: BreakthroughStatus, to: BreakthroughStatus) -> None:
    """Refuse a change of state that is not allowed.

    Raises:
        BadInputError: It is not; the message names those that are.
    """
    if to not in _NEXT[status]:
        allowed = ", ".join(_NEXT[status]) or "nothing"
        raise BadInputError(
            f"status: a breakthrough that is {status!r} can become {allowed}, but {to!r} came.",
            field="status",
        )


def same_tactic(a: str, b: str) -> bool:
    """Whether two tactics are nearly the same: by the words they share or by their text."""
    left, right = _content_words(a), _content_words(b)
    if not left or not right:
        return False
    first, second = set(left), set(right)
    if len(first & second) / len(first | second) >= _SAME_WORDS:
        return True
    matcher = SequenceMatcher(None, left[:200], right[:200], autojunk=False)
    return matcher.ratio() >= _SAME_TEXT


def find_duplicate(tactic: Tactic, known: Iterable[Breakthrough]) -> Breakthrough | None:
    """The first known breakthrough with nearly the same tactic, or None."""
    return next((k for k in known if same_tactic(k.tactic.tactic, tactic.tactic)), None)


def _content_words(text: str) -> list[str]:
    words = re.findall(r"\w+", text.casefold()[:4_000])
    # "anchors", "anchored" and "anchoring" are one word to a reader.
    stems = (re.sub(r"(?:ing|ed|es|s)$", "", word) if len(word) > 4 else word for word in words)
    return [stem for stem in stems if stem not in _STOP_WORDS]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", str_strip_whitespace=True)

    title: str = Field(min_length=1, max_length=300)
    tactic: str = Field(min_length=1, max_length=4_000)
    defining_turn: int | None = None
    snippet: str = Field(min_length=1, max_length=4_000)


def scout_messages(
    scenario: Scenario, turns: Sequence[Turn], reason: str, order_seed: int = 0
) -> list[ChatMessage]:
    """What the scout is asked about a breakthrough."""
    system = (
        "You study negotiations and support talks that went unusually well. Name the one tactic "
        "of the agent that decided this one, so that somebody else could use it elsewhere.\n"
        "Answer with one JSON object and nothing else: title (a few words), tactic (one or two "
        "sentences of general advice), defining_turn (number of the agent's turn that decided "
        "it), snippet (a short verbatim quote from that turn)."
    )
    user = (
        f"# The situation\n{scenario.description}\n\nThe agent is {scenario.agent_role}. Its "
        f"goal: {scenario.agent_goal}\nWhy this battle stands out: {reason}\n\n"
        f"{fenced_transcript(turns, OPEN_NAMES, order_seed)}\n\nAnswer with the JSON object."
    )
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def tactic_response_format() -> dict[str, Any]:
    """The `response_format` of the scout's call."""
    properties = {
        "title": {"type": "string"},
        "tactic": {"type": "string"},
        "defining_turn": {"type": "integer"},
        "snippet": {"type": "string"},
    }
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {
        "type": "json_schema",
        "json_schema": {"name": "tactic", "strict": True, "schema": schema},
    }


def parse_tactic(text: str, turns: Sequence[Turn]) -> Tactic:
    """Read the scout's answer; the snippet must be a quote from one of the agent's turns.

    A snippet from another of the agent's turns than the named one moves the defining turn there.

    Raises:
        LLMError: Of kind `schema`; the message says what is wrong, for one repair.
    """
    try:
        answer = _Answer.model_validate(json_object(text))
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"]) or "answer"
        raise _refused(f"{path}: {first['msg']}.") from error
    except ValueError as error:
        raise _refused(f"it is not JSON: {error}.") from error
    turn = find_quote(answer.snippet, turns, answer.defining_turn, speaker="agent")
    if turn is None:
        raise _refused(f"snippet: {answer.snippet!r:.120} is no quote from a turn of the agent.")
    return Tactic(
        title=answer.title, tactic=answer.tactic, defining_turn=turn, snippet=answer.snippet
    )


def _refused(what: str) -> LLMError:
    return LLMError(f"Expected a tactic as one JSON object; {what}", kind="schema")
