"""What a price negotiation came to, computed from what was said and the two target prices."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from cornerman.domain.battles import Outcome, Speaker, Turn
from cornerman.domain.battles.phrases import PriceMention as PriceMention
from cornerman.domain.battles.phrases import (
    accepts,
    clause_prices,
    clauses,
    commits,
    concedes,
    offered_price,
    proposes_deal,
    retracts,
    takes_back,
    walks_away,
    weakly_assents,
)
from cornerman.domain.battles.phrases import parse_prices as parse_prices
from cornerman.domain.personas import PriceTargets

_OTHER: dict[Speaker, Speaker] = {"agent": "persona", "persona": "agent"}
# Prices are spoken to the cent; anything nearer than half of one is the same price.
_SAME_PRICE = 0.005


@dataclass
class _Table:
    """What lies on the table: each side's standing prices and who asked for a plain yes."""

    offers: dict[Speaker, frozenset[float]] = field(
        default_factory=lambda: {"agent": frozenset[float](), "persona": frozenset[float]()}
    )
    # A side that countered has turned the standing price down; a bare "deal" is then unclear.
    countered: dict[Speaker, bool] = field(
        default_factory=lambda: {"agent": False, "persona": False}
    )
    proposal_by: Speaker | None = None

    def clear(self) -> None:
        self.offers = {"agent": frozenset(), "persona": frozenset()}
        self.proposal_by = None

    def offer(self, speaker: Speaker, prices: frozenset[float]) -> None:
        other = _OTHER[speaker]
        self.countered[speaker] = bool(self.offers[other]) and prices != self.offers[other]
        self.countered[other] = False
        self.offers[speaker] = prices


def agreed_price(turns: Iterable[Turn]) -> float | None:
    """The price that both sides agreed on, or None.

    A price is agreed when one side offers it and the other takes it: by an agreeing phrase or a
    commitment with that very price ("deal at $50", "I can do $50"), or by an agreeing phrase
    without a price while exactly one price of the other side stands. Counter-offers, conditions,
    questions and refusals agree to nothing; a side cannot accept its own price or speak for the
    other. The first agreement stands unless a side takes it back.
    """
    table, agreed = _Table(), None
    for turn in turns:
        if retracts(turn.text):
            agreed = None
            table.clear()
            if walks_away(turn.text):
                continue
        if agreed is None:
            agreed = _accepted(turn, table)
        if agreed is None:
            _lay_offers(turn, table)
    return agreed


def _accepted(turn: Turn, table: _Table) -> float | None:
    """The other side's price that this turn takes, or None."""
    standing = table.offers[_OTHER[turn.speaker]]
    if not standing:
        return None
    parts = clauses(turn.text)
    for position, clause in enumerate(parts):
        price = _taken(clause, standing, bare=not table.countered[turn.speaker])
        if price is not None and not _undone(parts, position, price):
            return price
    if table.proposal_by == _OTHER[turn.speaker] and len(standing) == 1:
        (price,) = standing
        if weakly_assents(turn.text) and not _undone(parts, 0, price):
            return price
    return None


def _taken(clause: str, standing: frozenset[float], *, bare: bool) -> float | None:
    prices = clause_prices(clause)
    if len(prices) == 1 and (accepts(clause) or commits(clause)):
        return next((p for p in standing if abs(p - next(iter(prices))) < _SAME_PRICE), None)
    if not prices and bare and len(standing) == 1 and accepts(clause):
        return next(iter(standing))
    return None


def _undone(parts: list[str], position: int, price: float) -> bool:
    """Whether the rest of the turn counters the price or puts a condition on it."""
    if any(takes_back(clause) for clause in parts[position + 1 :]):
        return True
    # A clause that names the price itself settles it, whatever else is said of other goods.
    if price in clause_prices(parts[position]):
        return False
    offers = {offered_price(clause) for clause in parts}
    return bool(offers - {None, price})


def _lay_offers(turn: Turn, table: _Table) -> None:
    named: list[float] = []
    theirs = table.offers[_OTHER[turn.speaker]]
    for clause in clauses(turn.text):
        price = offered_price(clause)
        # "Only $45?" repeats the other side's price; that offers nothing.
        if price is None or (price in theirs and not concedes(clause)):
            continue
        if concedes(clause):
            named.clear()
        named.append(price)
    # Of "$45, or $50 delivered" both stand, so that only a named one can be taken.
    if named:
        table.offer(turn.speaker, frozenset(named))
    table.proposal_by = turn.speaker if proposes_deal(turn.text) else None


def negotiation_outcome(targets: PriceTargets, price: float | None) -> Outcome:
    """What a price, or no deal, is worth to both sides.

    The seller's share is `(price - low) / (high - low)`, clipped to 0..1, where low and high are
    the smaller and the larger of the two targets; the buyer's is the rest. This is the linear
    utility of CraigslistBargain (He et al. 2018, section 4.2) with the span taken between both
    sides' targets, so that it also holds where no price suits both. With equal targets a side
    gets 1 above (seller) or below (buyer) them and both get 0.5 at them. No deal is worth 0 to
    both.
    """
    if price is None:
        return Outcome(
            kind="no_deal", agreed_price=None, agent_utility=0, persona_utility=0, score=0
        )
    seller = _seller_share(targets, price)
    agent = seller if targets.agent_side == "seller" else 1 - seller
    return Outcome(
        kind="deal",
        agreed_price=price,
        agent_utility=agent,
        persona_utility=1 - agent,
        score=100 * agent,
    )


def _seller_share(targets: PriceTargets, price: float) -> float:
    low = min(targets.buyer_target, targets.seller_target)
    high = max(targets.buyer_target, targets.seller_target)
    if high - low < _SAME_PRICE:
        return 0.5 if abs(price - low) < _SAME_PRICE else float(price > high)
    return min(1.0, max(0.0, (price - low) / (high - low)))
