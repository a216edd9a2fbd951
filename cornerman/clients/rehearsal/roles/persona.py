"""The persona's role: the other side of a battle."""

from __future__ import annotations

from cornerman.clients.rehearsal.battle import negotiation, support
from cornerman.clients.rehearsal.battle.scene import is_negotiation
from cornerman.clients.rehearsal.request import ChatRequest


def reply(request: ChatRequest, server_seed: int) -> str:
    """The persona's next line."""
    talk = negotiation.persona_reply if is_negotiation(request) else support.customer_reply
    return talk(request, request.chance(server_seed))
