"""The scout's role: name the tactic that decided a battle, and the turn that shows it."""

from __future__ import annotations

from typing import Any

from cornerman.clients.rehearsal.request import ChatRequest
from cornerman.clients.rehearsal.roles.transcript import Turn, read_transcript

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
