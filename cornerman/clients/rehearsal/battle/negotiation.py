"""Both sides of a negotiation: the agent by its prompt's lessons, the persona by its character."""

from __future__ import annotations

import re

from cornerman.clients.rehearsal.battle import phrases
from cornerman.clients.rehearsal.battle.bargain import Move, Plan, next_move
from cornerman.clients.rehearsal.battle.manners import character_in, lessons_in, temper_of
from cornerman.clients.rehearsal.battle.scene import (
    WALK_AWAY,
    Scene,
    as_price,
    read_scene,
    taught_part,
)
from cornerman.clients.rehearsal.chance import Chance
from cornerman.clients.rehearsal.request import ChatRequest

_GOOD_REASON = re.compile(r"\b(?:condition|well kept|worth|comes with|quality)\b", re.IGNORECASE)
_GIVE_AND_TAKE = re.compile(r"\b(?:in return|in exchange)\b", re.IGNORECASE)
_EVIDENCE = re.compile(r"\b(?:receipt|photos?|proof|see for yourself)\b", re.IGNORECASE)
_KINDNESS = re.compile(r"\b(?:i understand|i hear you|fair point|sorry)\b", re.IGNORECASE)


def agent_reply(request: ChatRequest, chance: Chance) -> str:
    """The agent's next line."""
    scene = read_scene(request, sells_by_default=True)
    lessons = lessons_in(taught_part(scene.prompt))
    if WALK_AWAY in scene.heard:
        return "I understand. Should you change your mind, you know where to find me. Goodbye."
    move = next_move(scene, _agent_plan(scene, lessons))
    return _agent_line(scene, move, lessons, chance)


def _agent_plan(scene: Scene, lessons: frozenset[str]) -> Plan:
    """What the lessons are worth: each one that is missing costs money."""
    step = 0.45
    step -= 0.12 if "trade" in lessons else 0.0
    step = min(step, 0.26) if "small_steps" in lessons else step
    patience = 8 if "empathy" in lessons or "hold" in lessons else 6
    firm = "hold" in lessons
    if scene.sells:
        target = scene.limit or scene.target or scene.asking * 0.80
        opening = scene.asking if "anchor" in lessons else max(scene.asking * 0.94, target)
        return Plan(_tidy(opening), target * (0.94 if firm else 0.84), step, patience)
    target = scene.limit or scene.target or scene.asking * 0.85
    opening = target * (0.70 if "anchor" in lessons else 0.88)
    return Plan(_tidy(opening), target * (1.06 if firm else 1.14), step, patience)


def _agent_line(scene: Scene, move: Move, lessons: frozenset[str], chance: Chance) -> str:
    price = as_price(move.price)
    side = "seller" if scene.sells else "buyer"
    if move.action == "confirm":
        extra = " To confirm, that is the full price." if "confirm" in lessons else ""
        return f"Agreed, DEAL at {price}.{extra} {chance.pick(phrases.CLOSINGS, 'closing')}"
    if move.action == "accept":
        return f"{chance.pick(phrases.ACCEPTS, 'accept')} DEAL at {price}."
    if move.action == "leave":
        return f"We are too far apart, so I have to pass. {WALK_AWAY}"
    parts = [_offer_sentence(scene, move, chance, phrases.AGENT_OFFERS[side])]
    if "empathy" in lessons and scene.heard and move.action != "open":
        parts.insert(0, _rotated(phrases.EMPATHY, "empathy", scene.turn, chance))
    arguments = [lesson for lesson in ("value", "evidence") if lesson in lessons]
    if arguments:
        lesson = arguments[scene.turn % len(arguments)]
        parts.append(_rotated(phrases.AGENT_EXTRAS[lesson][side], lesson, scene.turn // 2, chance))
    if "trade" in lessons and move.action == "offer":
        parts.append(_rotated(phrases.AGENT_EXTRAS["trade"][side], "trade", scene.turn, chance))
    return " ".join(parts)


def _rotated(options: list[str], purpose: str, turn: int, chance: Chance) -> str:
    """One option after the other, so that a talk does not repeat itself at once."""
    # Every turn has a chance of its own; only the turn's number may decide what comes next.
    return chance.pick(options, purpose) if turn == 0 else options[turn % len(options)]


def persona_reply(request: ChatRequest, chance: Chance) -> str:
    """The persona's next line."""
    scene = read_scene(request, sells_by_default=False)
    character = character_in(taught_part(scene.prompt))
    if WALK_AWAY in scene.heard:
        return f"Then we leave it at that. {WALK_AWAY}"
    move = next_move(scene, _persona_plan(scene, character, request))
    return _persona_line(scene, move, character, chance)


def _persona_plan(scene: Scene, character: str, request: ChatRequest) -> Plan:
    """A character's plan, moved by what the other side has said so far."""
    temper = temper_of(character)
    said = " ".join(m.content for m in request.messages if m.role == "user")[:24_000]
    proof = 0.03 * bool(_EVIDENCE.search(said)) * (2 if character == "skeptic" else 1)
    moved = 0.05 * bool(_GOOD_REASON.search(said)) + 0.04 * bool(_GIVE_AND_TAKE.search(said))
    step, stretch = temper.step + moved + proof, temper.stretch + moved + proof
    enraged = character == "angry" and not _KINDNESS.search(said)
    patience = temper.patience - (2 if enraged else 0)
    if scene.sells:
        target = scene.limit or scene.target or scene.asking * 0.85
        opening = max(scene.asking * (1.10 - 0.15 * temper.opening), target)
        return Plan(_tidy(opening), target * (2.0 - stretch), step, patience)
    target = scene.limit or scene.target or scene.asking * 0.86
    opening = min(scene.asking * temper.opening, target * 0.95)
    return Plan(_tidy(opening), target * stretch, step, patience)


def _persona_line(scene: Scene, move: Move, character: str, chance: Chance) -> str:
    price = as_price(move.price)
    if move.action in ("confirm", "accept"):
        word = chance.pick(phrases.AGREEMENTS[character], "agreement")
        return f"{word} DEAL at {price}."
    if move.action == "leave":
        return f"{chance.pick(phrases.FAREWELLS[character], 'farewell')} {WALK_AWAY}"
    side = "seller" if scene.sells else "buyer"
    offer = _offer_sentence(scene, move, chance, phrases.PERSONA_OFFERS[side])
    lead = _rotated(phrases.LEADS[character], "lead", scene.turn, chance)
    return f"{price}." if character == "silent" and scene.turn else f"{lead} {offer}"


def _offer_sentence(scene: Scene, move: Move, chance: Chance, bank: dict[str, list[str]]) -> str:
    """A sentence with the price; words differ by turn, so a talk does not repeat itself."""
    kind = "open" if move.action == "open" else "stay" if _stays(scene, move) else "offer"
    return _rotated(bank[kind], "words", scene.turn, chance).format(price=as_price(move.price))


def _stays(scene: Scene, move: Move) -> bool:
    return bool(scene.own_offers) and abs(scene.own_offers[-1] - move.price) < 0.005


def _tidy(price: float) -> float:
    return float(round(price)) if price >= 50 else round(price * 2) / 2
