"""What a battle's messages tell: sides, prices, and what has been offered so far."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cornerman.rehearsal.request import ChatRequest

_MONEY = re.compile(r"\$\s?(\d[\d,]*(?:\.\d+)?)")
_AMOUNT = r"\$?\s?(\d[\d,]*(?:\.\d+)?)"
_DOLLARS = r"\$\s?(\d[\d,]*(?:\.\d+)?)"
_ASKING = re.compile(
    rf"\b(?:asking|list(?:ed|ing)?|sticker)(?: price)?[^\d$]{{0,24}}{_DOLLARS}", re.I
)
_TARGET = re.compile(rf"\btarget(?: price)?[^.$\d]{{0,40}}{_AMOUNT}", re.IGNORECASE)
_LIMIT = re.compile(
    rf"\b(?:floor|minimum|lowest|walk-?away price|reserve|budget|at most|maximum|limit)"
    rf"[^\d$]{{0,24}}{_DOLLARS}",
    re.IGNORECASE,
)
_SIDE = re.compile(
    r"\b(?:you(?:'re| are)|as|role:|act as|play)\s+(?:a|an|the)?\s*(?:[\w-]+\s){0,2}?"
    r"(seller|vendor|salesperson|sales\w*|dealer|buyer|customer|shopper)\b",
    re.IGNORECASE,
)
_ROLE_LINE = re.compile(
    r"\brole: (?:the |a )?[^\n]{0,40}?\b(seller|buyer|customer|support)\b", re.I
)
_TRADE_WORDS = re.compile(
    r"\b(?:sell(?:er|ing)?|buy(?:er|ing)?|negotiat\w+|haggl\w+|bargain\w*"
    r"|(?:asking|target) price)\b",
    re.IGNORECASE,
)
_SUPPORT_WORDS = re.compile(
    r"\b(?:support|customer (?:service|care)|help ?desk|order number|complain\w*|refund\w*)\b",
    re.IGNORECASE,
)
# Signs that a system prompt is an agent's in a battle.
NEGOTIATOR = re.compile(
    r"\bnegotiat\w+"
    r"|\b(?:you are|as|act as) (?:a|an|the)\s+(?:[\w-]+ ){0,2}?(?:seller|buyer|dealer)\b"
    r"|\btarget price\b|\basking price\b",
    re.IGNORECASE,
)
SUPPORTER = re.compile(
    r"\b(?:support|service|help ?desk)\s+(?:agent|rep\w*|assistant|person|team|specialist)\b"
    r"|\bcustomer (?:support|service|care)\b|\b(?:help|answer) customers\b",
    re.IGNORECASE,
)
# What stands before this is the trained prompt; what follows describes the case.
_SITUATION = "# The situation"
# Put in where a side has heard nothing yet.
_BEGINNING = "(The conversation begins.)"
DEAL = re.compile(r"\bDEAL at \$\s?(\d[\d,]*(?:\.\d+)?)")
WALK_AWAY = "[WALK AWAY]"


def amount_of(text: str) -> float:
    """The value of a written amount such as 1,240.50; an absurd one counts as a billion."""
    return min(float(text.replace(",", "")), 1e9)


def money_in(text: str) -> list[float]:
    """The dollar amounts of a text, in order."""
    return [amount_of(found) for found in _MONEY.findall(text)]


def as_price(value: float) -> str:
    """A price as people write it: $418, or $58.60 when it is not whole."""
    return f"${value:,.0f}" if abs(value - round(value)) < 0.005 else f"${value:,.2f}"


@dataclass(frozen=True)
class Scene:
    """A negotiation from one side's view.

    Args:
        asking: What the seller asks in the scenario, if the prompts or the talk tell.
        target: This side's own target price, if its prompt tells.
        own_offers, other_offers: The last price of each message that named one, in order.
        turn: How many messages this side has written so far.
    """

    sells: bool
    asking: float
    target: float | None
    limit: float | None
    own_offers: tuple[float, ...]
    other_offers: tuple[float, ...]
    turn: int
    heard: str
    prompt: str

    @property
    def deal_heard(self) -> float | None:
        """The price in the other side's last message if that agreed to a deal."""
        found = DEAL.search(self.heard)
        return amount_of(found[1]) if found else None


def is_negotiation(request: ChatRequest) -> bool:
    """Whether the conversation is about a price, by the prompt and else by what was said."""
    prompt = request.system
    stated = _ROLE_LINE.search(prompt)
    if stated:
        return stated[1].lower() in ("seller", "buyer")
    trade, support = len(_TRADE_WORDS.findall(prompt)), len(_SUPPORT_WORDS.findall(prompt))
    if trade or support:
        return trade > support
    return any(_MONEY.search(m.content[:4_000]) for m in request.messages)


def read_scene(request: ChatRequest, sells_by_default: bool) -> Scene:
    """Read a negotiation; what nobody states is filled in from the prices named so far."""
    prompt = request.system
    own = _offers(request, "assistant")
    other = _offers(request, "user")
    side = _SIDE.search(prompt)
    sells = sells_by_default
    if side:
        sells = side[1].lower() not in ("buyer", "customer", "shopper")
    # Figures in the prompt's own rules or a character's sayings are no prices of this case.
    case = prompt.partition(_SITUATION)[2] or prompt
    target, limit = _found(_TARGET, case), _found(_LIMIT, case)
    return Scene(
        sells=sells,
        asking=_asking(case, target, own, other),
        target=target,
        limit=limit,
        own_offers=own,
        other_offers=other,
        turn=sum(m.role == "assistant" for m in request.messages),
        heard="" if request.last_user == _BEGINNING else request.last_user,
        prompt=prompt,
    )


def taught_part(prompt: str) -> str:
    """The part of an agent's system prompt that training wrote, without the case at hand."""
    return prompt.split(_SITUATION, 1)[0]


def _offers(request: ChatRequest, role: str) -> tuple[float, ...]:
    prices = [money_in(m.content[:8_000]) for m in request.messages if m.role == role]
    return tuple(found[-1] for found in prices if found and found[-1] > 0)


def _found(pattern: re.Pattern[str], text: str) -> float | None:
    match = pattern.search(text)
    return (amount_of(match[1]) or None) if match else None


def _asking(
    prompt: str, target: float | None, own: tuple[float, ...], other: tuple[float, ...]
) -> float:
    stated = _found(_ASKING, prompt)
    named = [price for price in money_in(prompt) if price not in (target, 0.0)]
    spoken = [*own[:1], *other[:1]]
    return stated or next(iter(named), None) or max(spoken, default=target or 100.0)
