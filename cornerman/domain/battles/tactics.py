"""Tactics that won battles: asking the scout for them, and telling when two are the same."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cornerman.domain.answers import json_object
from cornerman.domain.battles import Battle, Record, Turn
from cornerman.domain.battles.conversation import ChatMessage
from cornerman.domain.errors import LLMError
from cornerman.domain.personas import Scenario
from cornerman.domain.referee.transcripts import (
    OPEN_NAMES,
    fenced_transcript,
    find_quote,
)

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
        named: Whether the scout could say what it is; else it is only shown.
    """

    title: str
    tactic: str
    defining_turn: int
    snippet: str
    named: bool = True


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


def observed_tactic(battle: Battle) -> Tactic:
    """What the referee saw, for a battle whose tactic no scout could name.

    The best sub-score that is shown by one of the agent's turns; without one, its last turn.
    """
    own = {turn.index: turn for turn in battle.turns if turn.speaker == "agent"}
    shown = [s for s in battle.sub_scores if s.evidence_ok and s.turn in own]
    best = max(shown, key=lambda sub: sub.score, default=None)
    if best is None or best.turn is None:
        turn = max(own, default=0)
        said = " ".join(own[turn].text.split())[:200] if own else ""
        return _unnamed("the last word", turn, said)
    return _unnamed(best.name, best.turn, best.evidence)


def _unnamed(what: str, turn: int, said: str) -> Tactic:
    # What was said is part of it, so that two of them are not taken for the same tactic.
    return Tactic(
        title=f"Unnamed tactic: {what}",
        tactic=f"The scout could not name it. The turn that shows it: {said}",
        defining_turn=turn,
        snippet=said,
        named=False,
    )


def carries_tactic(prompt: str, tactic: str) -> bool:
    """Whether a prompt says what a tactic says: it has most of its content words."""
    wanted = set(_content_words(tactic))
    return bool(wanted) and len(wanted & set(_content_words(prompt))) / len(wanted) >= _SAME_WORDS


def _refused(what: str) -> LLMError:
    return LLMError(f"Expected a tactic as one JSON object; {what}", kind="schema")
