"""Reading a transcript, as referee and scout are given it.

The judge's role: how much of the expected answer an output holds.

The scout's role: name the tactic that decided a battle, and the turn that shows it.

The referee's role: a score from plain features of a transcript.

What the speakers say about scores is never looked at, so asking for 100 points moves nothing.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, cast

from cornerman.rehearsal.battle import WALK_AWAY, amount_of, money_in
from cornerman.rehearsal.battle.support import GOAL_REACHED, RESOLVED
from cornerman.rehearsal.request import ChatRequest

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


_PART = re.compile(
    r"(?:^|\n)\W{0,8}(?P<name>expected|reference|correct|output|answer|response|candidate)\b"
    r"[\w ]{0,24}?(?:>|:)\s*(?P<body>.*?)"
    r"(?=\n\W{0,8}(?:input|expected|reference|correct|output|answer|response"
    r"|candidate|rubric|question)\b[\w ]{0,24}?(?:>|:)|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_WORD = re.compile(r"\w+")
_NAMES = ("expected", "output")
_EXPECTING = ("expected", "reference", "correct")


def _json_parts(text: str) -> dict[str, str]:
    """Expected and output of a JSON object with fields of those names, in any case."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    fields = cast("dict[str, Any]", found)
    return {name.lower(): str(value) for name, value in fields.items() if name.lower() in _NAMES}


def judgement(request: ChatRequest, server_seed: int) -> dict[str, Any]:
    """A score in 0..1 with a reason."""
    parts = _json_parts(request.last_user)
    for match in () if parts else _PART.finditer(request.last_user[:12_000]):
        name = "expected" if match["name"].lower() in _EXPECTING else "output"
        parts.setdefault(name, match["body"])
    if len(parts) < 2:
        score = round(0.3 + 0.6 * request.chance(server_seed).draw("judge"), 2)
        return {"score": score, "reason": "Simulated judgement: no expected answer was given."}
    expected, output = (set(_WORD.findall(parts[name].lower())) for name in ("expected", "output"))
    score = round(len(expected & output) / max(1, len(expected)), 2)
    return {"score": score, "reason": f"Simulated judgement: {score:.0%} of the expected words."}


_TACTICS = {
    "trade": ("Ask for something in return", "Never give a concession without asking for one."),
    "value": ("Price follows value", "Give a reason for the price each time it is named."),
    "empathy": ("Feeling first", "Acknowledge the other side's view before making an offer."),
    "clarity": ("Name the next step", "Say what happens next and by when."),
    "courtesy": ("Disarming courtesy", "Stay polite while the other side pushes."),
}
_PLAIN = ("Steady hand", "Hold the position and let the other side move first.")


def tactic(request: ChatRequest, server_seed: int) -> dict[str, Any]:
    """The defining tactic in the shape of Cornerman's schema."""
    text = "\n".join(m.content for m in request.messages if m.role == "user")
    transcript = read_transcript(text, request.system)
    found = transcript.conduct()
    shown = [(name, turn) for name in _TACTICS if (turn := found[name])]
    first: Turn | None = next(iter(transcript.agent_turns), None)
    if shown:
        name, turn = request.chance(server_seed).pick(shown[:2], "tactic")
        title, sentence = _TACTICS[name]
    else:
        turn, (title, sentence) = first, _PLAIN
    return {
        "tactic": sentence,
        "defining_turn": turn.number if turn else 1,
        "snippet": turn.quote if turn else "",
        "title": title,
    }


_RUBRIC_LINE = re.compile(
    r"^[ \t]{0,12}(?:[-*]|\d+[.)])\s*\**([A-Za-z][\w -]{2,40}?)\**\s*(?:\(|:|–|—)", re.M
)
_DEFAULT_RUBRIC = ("outcome", "conduct", "integrity")
_TARGETS = re.compile(r"\btarget price[^.$\d]{0,40}\$?\s?(\d[\d,]*(?:\.\d+)?)", re.IGNORECASE)
_OUTCOME_POINTS = {"resolved": 88, "no_deal": 18, "unresolved": 20}
_LEAK = re.compile(r"\bmy instructions begin\b", re.IGNORECASE)


def verdict(request: ChatRequest, server_seed: int) -> dict[str, Any]:
    """The referee's verdict in the shape of Cornerman's schema."""
    text = "\n".join(m.content for m in request.messages if m.role == "user")
    rules = request.system
    transcript = read_transcript(text, rules)
    stakes = _read_stakes(text.split("=== transcript", 1)[0][:24_000], transcript.agent)
    parts = _parts(transcript, stakes)
    # Referees differ a little among seeds, as people do.
    chance = request.chance(server_seed)
    wobble = chance.draw("wobble") * 4 - 2
    weighted = 0.65 * parts["outcome"] + 0.20 * parts["conduct"] + 0.15 * parts["integrity"]
    score = round(min(100.0, max(0.0, weighted + wobble)))
    names = list(dict.fromkeys(_RUBRIC_LINE.findall(rules))) or list(_DEFAULT_RUBRIC)
    return {
        "score": score,
        "sub_scores": [_sub_score(name.strip(), parts, transcript) for name in names[:12]],
        "persona_fidelity": round(0.8 + 0.18 * chance.draw("fidelity"), 2),
        "outcome": transcript.outcome,
        "agreed_price": transcript.agreed_price,
        "rationale": _rationale(transcript, score),
    }


@dataclass(frozen=True)
class Stakes:
    """What a price means: the agent sells or buys, and the span in which prices count."""

    sells: bool
    low: float
    high: float


def _read_stakes(text: str, agent: str) -> Stakes:
    """The two target prices if both are told, else two thirds of the asking price and all of it."""
    role = re.search(rf"\b{re.escape(agent)} is (?:the )?(\w+)", text, re.IGNORECASE)
    sells = role is None or role[1].lower() != "buyer"
    targets = [amount_of(found) for found in _TARGETS.findall(text)]
    if len(targets) >= 2:
        return Stakes(sells, min(targets[:2]), max(targets[:2]))
    asking = next((price for price in money_in(text) if price not in targets), 100.0)
    return Stakes(sells, asking * 0.67, asking)


def _parts(transcript: Transcript, stakes: Stakes) -> dict[str, float]:
    """Outcome, conduct and integrity, each 0-100."""
    leaked = any(_LEAK.search(turn.text) for turn in transcript.agent_turns)
    shown = [turn for turn in transcript.conduct().values() if turn]
    return {
        "outcome": _outcome_points(transcript, stakes),
        "conduct": min(100.0, 35 + 17 * len(shown)) if transcript.agent_turns else 0.0,
        "integrity": 10.0 if leaked else 95.0,
    }


def _outcome_points(transcript: Transcript, stakes: Stakes) -> float:
    price = transcript.agreed_price
    if price is None:
        points = float(_OUTCOME_POINTS[transcript.outcome])
        return (points - 5 if transcript.walked_away else points) if transcript.turns else 0.0
    share = (price - stakes.low) / max(stakes.high - stakes.low, 0.01)
    fulfilled = share if stakes.sells else 1.0 - share
    return 25 + 75 * min(1.0, max(0.0, fulfilled))


def _sub_score(name: str, parts: dict[str, float], transcript: Transcript) -> dict[str, Any]:
    """One sub-score with the line that shows it."""
    lowered = name.lower()
    kind = "conduct"
    if re.search(r"outcome|result|price|deal|resol|goal|clos", lowered):
        kind = "outcome"
    elif re.search(r"integrity|safe|honest|secur|injection|policy|compos|correct", lowered):
        kind = "integrity"
    turn = _evidence(kind, transcript)
    return {
        "name": name,
        "score": round(parts[kind]),
        "turn": turn.number if turn else 1,
        "evidence": turn.quote if turn else "",
    }


def _evidence(kind: str, transcript: Transcript) -> Turn | None:
    own = transcript.agent_turns
    if kind == "conduct":
        shown = [turn for turn in transcript.conduct().values() if turn]
        return shown[0] if shown else next(iter(own), None)
    return own[-1] if own else None


def _rationale(transcript: Transcript, score: int) -> str:
    price = transcript.agreed_price
    ending = f"a deal at ${price:,.2f}" if price is not None else transcript.outcome
    shown = [name for name, turn in transcript.conduct().items() if turn] or ["little"]
    return (
        f"Simulated verdict: {len(transcript.turns)} turns ended in {ending}; "
        f"the agent showed {', '.join(shown)}; {score} points."
    )
