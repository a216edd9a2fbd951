"""The persona's role: the other side of a battle."""

from __future__ import annotations

from cornerman.rehearsal.battle import negotiation, support
from cornerman.rehearsal.battle.scene import is_negotiation
from cornerman.rehearsal.request import ChatRequest


def reply(request: ChatRequest, server_seed: int) -> str:
    """The persona's next line."""
    talk = negotiation.persona_reply if is_negotiation(request) else support.customer_reply
    return talk(request, request.chance(server_seed))
