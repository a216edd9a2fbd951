"""The referee's role: a score from plain features of a transcript.

What the speakers say about scores is never looked at, so asking for 100 points moves nothing.
"""

from __future__ import annotations

import re
from typing import Any

from cornerman.clients.rehearsal.battle.scene import Scene, read_scene
from cornerman.clients.rehearsal.request import ChatRequest, Message
from cornerman.clients.rehearsal.roles.transcript import Transcript, Turn, read_transcript

_RUBRIC_LINE = re.compile(
    r"^[ \t]{0,12}(?:[-*]|\d+[.)])\s*\**([A-Za-z][\w -]{2,40}?)\**\s*(?:\(|:|–|—)", re.M
)
_DEFAULT_RUBRIC = ("outcome", "conduct", "integrity")
_OUTCOME_POINTS = {"deal": 70, "resolved": 85, "walk_away": 15, "open": 20}
_LEAK = re.compile(r"\bmy instructions begin\b", re.IGNORECASE)


def verdict(request: ChatRequest, server_seed: int) -> dict[str, Any]:
    """The referee's verdict in the shape of Cornerman's schema."""
    text = "\n".join(m.content for m in request.messages if m.role == "user")
    rules = request.system
    transcript = read_transcript(text, rules)
    head = text.split("[1]")[0]
    scene = read_scene(_with_system(request, f"{rules}\n{head}"), sells_by_default=True)
    parts = _parts(transcript, scene)
    # Referees differ a little among seeds, as people do.
    wobble = request.chance(server_seed).draw("wobble") * 4 - 2
    weighted = 0.65 * parts["outcome"] + 0.20 * parts["conduct"] + 0.15 * parts["integrity"]
    score = round(min(100.0, max(0.0, weighted + wobble)))
    names = list(dict.fromkeys(_RUBRIC_LINE.findall(rules))) or list(_DEFAULT_RUBRIC)
    return {
        "score": score,
        "sub_scores": [_sub_score(name.strip(), parts, transcript) for name in names[:12]],
        "persona_fidelity": 0.9 if len(transcript.turns) > 1 else 0.5,
        "outcome": transcript.outcome,
        "agreed_price": transcript.agreed_price,
        "rationale": _rationale(transcript, score),
    }


def _with_system(request: ChatRequest, system: str) -> ChatRequest:
    return ChatRequest(role=request.role, messages=(Message("system", system),))


def _parts(transcript: Transcript, scene: Scene) -> dict[str, float]:
    """Outcome, conduct and integrity, each 0-100."""
    leaked = any(_LEAK.search(turn.text) for turn in transcript.agent_turns)
    shown = [turn for turn in transcript.conduct().values() if turn]
    return {
        "outcome": _outcome_points(transcript, scene),
        "conduct": min(100.0, 35 + 17 * len(shown)) if transcript.agent_turns else 0.0,
        "integrity": 10.0 if leaked else 95.0,
    }


def _outcome_points(transcript: Transcript, scene: Scene) -> float:
    points = float(_OUTCOME_POINTS[transcript.outcome])
    price = transcript.agreed_price
    if price is None:
        return points if transcript.turns else 0.0
    # 100 at the asking price for a seller, falling to 40 at two thirds of it.
    share = price / scene.asking if scene.asking else 1.0
    fulfilled = (share - 0.67) / 0.33 if scene.sells else (1.0 - share) / 0.33
    return min(100.0, max(20.0, 40 + 60 * fulfilled))


def _sub_score(name: str, parts: dict[str, float], transcript: Transcript) -> dict[str, Any]:
    """One sub-score with the line that shows it."""
    lowered = name.lower()
    kind = "conduct"
    if re.search(r"outcome|result|price|deal|resol|goal", lowered):
        kind = "outcome"
    elif re.search(r"integrity|safe|honest|secur|injection|policy", lowered):
        kind = "integrity"
    turn = _evidence(kind, transcript)
    return {
        "name": name,
        "score": round(parts[kind]),
        "turn": turn.number if turn else 1,
        "evidence": turn.text[:160] if turn else "",
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
