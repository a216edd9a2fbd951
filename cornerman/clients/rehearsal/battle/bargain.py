"""The arithmetic of bargaining: what a side offers next, and when it agrees or leaves.

Prices move by rules alone, so a battle can be read and checked; the words come elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cornerman.clients.rehearsal.battle.scene import Scene

Action = Literal["open", "offer", "accept", "confirm", "leave"]
# From this turn on a side takes whatever it can live with.
WEARY_TURN = 4
# Offers this close to each other, as a share of the asking price, are worth no more talk.
CLOSE_ENOUGH = 0.05


@dataclass(frozen=True)
class Plan:
    """How one side bargains: first price, hard limit, share of the gap given, turns it waits."""

    opening: float
    limit: float
    step: float
    patience: int


@dataclass(frozen=True)
class Move:
    """What a side does now; `price` is the offer made, taken or confirmed."""

    action: Action
    price: float


def next_move(scene: Scene, plan: Plan) -> Move:
    """The next move of a side."""
    if scene.deal_heard is not None:
        return Move("confirm", scene.deal_heard)
    if not scene.own_offers:
        return _first_move(scene, plan)
    own, other = scene.own_offers[-1], _last(scene.other_offers)
    if other is None:
        return Move("offer", own)
    offer = _step_towards(own, other, scene, plan)
    if _within(other, plan.limit, scene.sells) and _near(own, other, offer, scene):
        return Move("accept", other)
    if scene.turn >= plan.patience and not _within(other, plan.limit, scene.sells):
        return Move("leave", other)
    return Move("offer", offer)


def _first_move(scene: Scene, plan: Plan) -> Move:
    other = _last(scene.other_offers)
    better = other is not None and (other >= plan.opening if scene.sells else other <= plan.opening)
    # Somebody who is offered more than they meant to ask for says yes.
    return Move("accept", other) if better and other is not None else Move("open", plan.opening)


def _step_towards(own: float, other: float, scene: Scene, plan: Plan) -> float:
    # Towards the other's offer, or one's own limit when that comes first.
    goal = max(other, plan.limit) if scene.sells else min(other, plan.limit)
    offer = own + plan.step * (goal - own)
    # Nobody takes back what they have offered already.
    kept = min(offer, own) if scene.sells else max(offer, own)
    return _round(kept)


def _near(own: float, other: float, offer: float, scene: Scene) -> bool:
    crossed = other >= offer if scene.sells else other <= offer
    return crossed or abs(own - other) <= CLOSE_ENOUGH * scene.asking or scene.turn >= WEARY_TURN


def _within(price: float, limit: float, sells: bool) -> bool:
    return price >= limit - 0.005 if sells else price <= limit + 0.005


def _last(offers: tuple[float, ...]) -> float | None:
    return offers[-1] if offers else None


def _round(price: float) -> float:
    return float(round(price)) if price >= 50 else round(price * 2) / 2
