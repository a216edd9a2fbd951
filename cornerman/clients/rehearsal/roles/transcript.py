"""Reading a transcript, as referee and scout are given it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from cornerman.clients.rehearsal.battle.scene import WALK_AWAY, amount_of, money_in
from cornerman.clients.rehearsal.battle.support import GOAL_REACHED, RESOLVED

_LINE = re.compile(r"^\s*\[(\d{1,6})\]\s*([^:\n]{1,60}):\s?(.*)$")
_DEAL = re.compile(r"\bdeal at \$\s?(\d[\d,]*(?:\.\d+)?)", re.IGNORECASE)
_JUDGED = re.compile(
    r"\b(?i:score|judge|rate|grade|assess)\b[^.\n]{0,40}\b(?:side|party|speaker)?\s*\b([AB])\b"
)

# What good conduct looks like in an agent's lines, with its share of the conduct score.
CONDUCT: dict[str, re.Pattern[str]] = {
    "empathy": re.compile(r"\b(?:understand|sorry|hear you|fair point|appreciate)\b", re.I),
    "value": re.compile(r"\b(?:condition|quality|worth|receipt|photos?|comes with)\b", re.I),
    "trade": re.compile(r"\b(?:in return|in exchange)\b", re.I),
    "clarity": re.compile(r"\b(?:next step|order number|confirm|within)\b", re.I),
    "courtesy": re.compile(r"\b(?:thank|please|hello|glad|good to)\b", re.I),
}


@dataclass(frozen=True)
class Turn:
    """One line of a transcript."""

    number: int
    speaker: str
    text: str

    @property
    def quote(self) -> str:
        """Its beginning, cut between words, so that it can be found in the text again."""
        return self.text if len(self.text) <= 120 else self.text[:120].rpartition(" ")[0]


@dataclass(frozen=True)
class Transcript:
    """A conversation; `agent` is the speaker who is judged."""

    turns: tuple[Turn, ...]
    agent: str

    @property
    def agent_turns(self) -> tuple[Turn, ...]:
        """The lines of the speaker who is judged."""
        return tuple(turn for turn in self.turns if turn.speaker == self.agent)

    @property
    def agreed_price(self) -> float | None:
        """The price of the last agreement, if there is one."""
        found = [match for turn in self.turns for match in _DEAL.findall(turn.text)]
        return amount_of(found[-1]) if found else None

    @property
    def outcome(self) -> str:
        """`deal` or `no_deal` where prices were named, else `resolved` or `unresolved`."""
        if self.agreed_price is not None:
            return "deal"
        said = "\n".join(turn.text for turn in self.turns)
        if any(mark in said for mark in (RESOLVED, GOAL_REACHED)):
            return "resolved"
        return "no_deal" if money_in(said[:24_000]) else "unresolved"

    @property
    def walked_away(self) -> bool:
        """Whether one of the sides left for good."""
        return any(WALK_AWAY in turn.text for turn in self.turns)

    def conduct(self) -> dict[str, Turn | None]:
        """For each sign of good conduct the agent's first line that shows it."""
        return {
            name: next((turn for turn in self.agent_turns if pattern.search(turn.text)), None)
            for name, pattern in CONDUCT.items()
        }


def read_transcript(text: str, instructions: str = "") -> Transcript:
    """Read turns written as JSON lines or as `[1] name: …`.

    A line that is neither continues the turn above, if turns are written the second way.
    """
    turns = [turn for line in text.split("\n") if (turn := _json_turn(line))]
    if not turns:
        turns = _numbered_turns(text)
    return Transcript(tuple(turns), _judged_speaker(turns, f"{instructions}\n{text}"))


def _json_turn(line: str) -> Turn | None:
    if not line.startswith('{"turn"'):
        return None
    try:
        fields = json.loads(line)
        return Turn(int(fields["turn"]), str(fields["side"]), str(fields["text"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _numbered_turns(text: str) -> list[Turn]:
    turns: list[Turn] = []
    for line in text.split("\n"):
        match = _LINE.match(line)
        if match:
            turns.append(Turn(int(match[1]), match[2].strip(), match[3]))
        elif turns and line.strip() and len(turns[-1].text) < 20_000:
            last = turns[-1]
            turns[-1] = Turn(last.number, last.speaker, f"{last.text}\n{line}")
    return turns


def _judged_speaker(turns: list[Turn], text: str) -> str:
    speakers = dict.fromkeys(turn.speaker for turn in turns)
    named = next((name for name in speakers if "agent" in name.lower()), None)
    if named:
        return named
    # Sides may be hidden behind letters; then the instructions say which one counts.
    found = _JUDGED.search(text)
    letter = found[1] if found else ""
    hidden = next((name for name in speakers if name.split()[-1:] == [letter]), None)
    return hidden or next(iter(speakers), "agent")
