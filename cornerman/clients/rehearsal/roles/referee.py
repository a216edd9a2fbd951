"""The referee's role: a score from plain features of a transcript.

What the speakers say about scores is never looked at, so asking for 100 points moves nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from cornerman.clients.rehearsal.battle.scene import amount_of, money_in
from cornerman.clients.rehearsal.request import ChatRequest
from cornerman.clients.rehearsal.roles.transcript import Transcript, Turn, read_transcript

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
