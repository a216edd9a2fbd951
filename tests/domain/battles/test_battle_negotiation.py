"""Prices, agreements and what they are worth."""

import time

import pytest

from cornerman.domain.battles import Turn
from cornerman.domain.battles.negotiation import agreed_price, negotiation_outcome, parse_prices
from cornerman.domain.personas import PriceTargets


def said(*lines: str) -> list[Turn]:
    """Turns from lines such as "a: text" (agent) and "p: text" (persona)."""
    speakers = {"a": "agent", "p": "persona"}
    return [
        Turn(index=i, speaker=speakers[line[0]], text=line[2:].strip())
        for i, line in enumerate(lines)
    ]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("It is $1,200.50 firm", [1200.5]),
        ("1200 dollars or 250 USD", [1200.0, 250.0]),
        ("$8. You should know", [8.0]),
        ("$610.00. You", [610.0]),
        ("5k bucks", [5000.0]),
        ("$1.5k", [1500.0]),
        ("1.200,50 € or €400", [1200.5, 400.0]),
        ("between $40 and $50", [40.0, 50.0]),
        ("a 24-inch top from 1890, 3 chairs, $0 down", []),
        ("pay £40", [40.0]),
    ],
)
def test_reads_prices_only_beside_a_currency(text: str, values: list[float]):
    assert [mention.value for mention in parse_prices(text)] == values


AGREED = {
    "bare deal": (["a: I can let it go for $50.", "p: Deal!"], 50),
    "deal with price": (["p: How about $45?", "a: Okay, deal at $45."], 45),
    "marker after an offer": (["a: My price is $50.", "p: DEAL at $50"], 50),
    "marker then yes": (["p: DEAL at $47?", "a: Yes."], 47),
    "marker then marker": (["p: DEAL at $47", "a: DEAL at $47"], 47),
    "accepts": (["p: I'll give you $300.", "a: I accept your offer of $300."], 300),
    "take it": (["a: $60 is my best price.", "p: Alright, I'll take it."], 60),
    "counter then agree": (
        ["a: I want $60.", "p: I'd pay $40.", "a: How about $50?", "p: Deal."],
        50,
    ),
    "counter-offers meet": (["a: $60.", "p: $40.", "a: I can do $50.", "p: I can do $50."], 50),
    "limit is an offer": (["a: I can't go below $50.", "p: Fine, deal at $50."], 50),
    "concession within a turn": (["a: My price is $60, but for you I can do $52.", "p: Deal!"], 52),
    "sold": (["p: I'll give you $45 cash right now.", "a: Sold!"], 45),
    "works for me": (["p: Could you do $45?", "a: $45 works for me."], 45),
    "talk between offer and deal": (
        ["a: I can do $50.", "p: Does it come with the drawer?", "a: It does.", "p: Deal."],
        50,
    ),
    "other goods in the same turn": (
        ["a: I can do $50.", "p: Deal at $50! I also saw your lamp for $15."],
        50,
    ),
    "polite ending": (["p: I can pay $45.", "a: Deal! Let me know if you have any questions."], 45),
    "typographic apostrophe": (["a: I’ll take $80 for it.", "p: You’ve got a deal."], 80),
    "emphasis": (["a: I can do **$1,150.50**.", "p: **Deal at $1,150.50.**"], 1150.5),
    "reconsidered": (
        ["a: $60.", "p: Deal.", "a: I changed my mind, $65.", "p: Deal at $65."],
        65,
    ),
    "but without a condition": (["a: I can do $50.", "p: Deal, but you drive a hard bargain."], 50),
    "words for the unit": (["a: 50 dollars and it's yours.", "p: Agreed, 50 dollars it is."], 50),
    "split the difference": (
        ["a: I need $60.", "p: I offer $50.", "a: Let's meet at $55.", "p: Agreed. $55 it is."],
        55,
    ),
    "yes to a question": (["a: I can do $50, do we have a deal?", "p: Yes, absolutely!"], 50),
}


@pytest.mark.parametrize("name", AGREED)
def test_finds_the_price_that_both_sides_agreed(name: str):
    lines, price = AGREED[name]
    assert agreed_price(said(*lines)) == price


AGREED |= {
    "middle": (
        [
            "p: I can offer $45.",
            "a: I appreciate $45, but I hoped for closer to $55. Could we meet at $50?",
            "p: That sounds fair! I'd like to accept $50.",
        ],
        50,
    ),
    "how about and sounds good": (["a: How about $50?", "p: Sounds good to me!"], 50),
    "I think we have a deal": (["p: I can pay $45.", "a: I think we have a deal!"], 45),
    "colon": (["a: I can do $50.", "p: Deal: $50."], 50),
    "settled": (["p: I'll pay $45.", "a: It took a while. Let's settle on $45."], 45),
}

NOT_AGREED = {
    "echo": ["a: $60.", "p: I'd pay $45.", "a: I appreciate $45.", "p: Deal at $45."],
    "echo in doubt": ["a: $60.", "p: I'd pay $45.", "a: Only $45?", "p: Deal at $45."],
    "okay and too low": ["p: Could you do $45?", "a: Okay. $45 is too low for me."],
    "yes and a counter": ["p: How about $45?", "a: Yes. But I need $50 for it."],
    "sure and talk": ["p: How about $45?", "a: Sure, let me tell you about the oak."],
    "let me think": ["p: How about $45?", "a: Okay. Let me think about it."],
    "nothing said": [],
    "offers only": ["a: $60.", "p: I can do $40.", "a: $55.", "p: $45."],
    "no deal at": ["a: I can do $50.", "p: No deal at $50."],
    "too much": ["a: I can do $50.", "p: $50 is too much for me."],
    "own price": ["p: I'll give you $40.", "p: Deal at $40!"],
    "marker that nobody took": ["a: I want $60.", "p: DEAL at $10"],
    "marker refused": ["p: DEAL at $10", "a: No, I can't do that."],
    "weak yes to a counter": ["a: I can do $50.", "p: Sure, how about $40?"],
    "conditional": ["a: I can do $50.", "p: Deal if you deliver it for free."],
    "conditional with but": ["a: I can do $50.", "p: Deal, but you deliver."],
    "question": ["a: I can do $50.", "p: Would you accept $45?"],
    "walk-away after an offer": ["p: I can do $40.", "a: I'm walking away.", "p: Wait, deal!"],
    "walks away": ["a: I can do $50.", "p: [WALK AWAY]"],
    "another item's price": [
        "a: I want $60.",
        "p: The shop down the road sells it for $35.",
        "a: Deal.",
    ],
    "good deal": ["a: I can do $50.", "p: That is not a good deal."],
    "a great deal of": ["a: I can do $50.", "p: A great deal of people ask less."],
    "deal breaker": ["a: I can do $50.", "p: Scratches are a deal breaker."],
    "agreed to a fact": ["a: It's a lovely chair for $50.", "p: Agreed. But $50 is too much."],
    "two prices stand": ["a: $45 as it is or $50 with delivery.", "p: Deal."],
    "bare deal after a counter": ["a: I can do $50.", "p: How about $40?", "p: Okay, deal."],
    "retracted": ["a: I can do $50.", "p: Deal.", "p: Actually, I changed my mind."],
    "second thoughts": ["a: I can do $50.", "p: Deal.", "a: Actually, make it $60."],
    "speaks for the other": ["p: I offer $1. Seller: I accept $1. Deal at $1!", "a: No."],
    "withdrawn price": ["a: I can do $50.", "a: My price is $60.", "p: Deal at $50."],
    "repeats to refuse": ["a: I'm asking $60.", "p: You're asking $60? I can do $40."],
    "thinking": ["a: I can do $50.", "p: I'll think about $50."],
    "budget": ["a: I want $60.", "p: My budget is $40.", "a: Sounds good."],
    "counter that opens with agreement": ["a: $60.", "p: Sounds like a deal at $45."],
}


@pytest.mark.parametrize("name", NOT_AGREED)
def test_agrees_to_nothing_when_a_side_did_not(name: str):
    assert agreed_price(said(*NOT_AGREED[name])) is None


# Longer lines, the way that chat models write them.
AS_MODELS_WRITE: list[tuple[float | None, list[str]]] = [
    (
        300,
        [
            "p: Hi, would you take $250?",
            "a: Thanks for reaching out! I'm looking for $350, but I could go down to $320.",
            "p: Hmm. What about $300 cash?",
            "a: You've got yourself a deal at $300! When can you pick it up?",
        ],
    ),
    (300, ["p: I can offer $300.", "a: That works for me. Let's finalize the deal at $300."]),
    (300, ["p: $300 final offer.", "a: Okay, $300 it is. DEAL at $300."]),
    (
        300,
        [
            "a: I could let it go for $300 if you pick it up today.",
            "p: I can pick it up today. DEAL at $300",
        ],
    ),
    (
        None,
        [
            "p: $300?",
            "a: I understand $300 is your offer, but the lowest I can accept is $340.",
            "p: That is still too much.",
        ],
    ),
    (
        340,
        [
            "p: $300?",
            "a: I understand $300 is your offer, but the lowest I can accept is $340.",
            "p: Fine. I'll take it for $340.",
        ],
    ),
    (None, ["p: I'll take it for $200.", "a: I can't accept $200."]),
    (None, ["p: DEAL at $200", "a: I'm sorry, I can't do a deal at $200. My price is $400."]),
    (
        400,
        [
            "p: DEAL at $200",
            "a: I'm sorry, I can't do a deal at $200. My price is $400.",
            "p: Ugh. Okay, $400.",
        ],
    ),
    (None, ["a: $400.", "p: Okay, $400 is a lot of money."]),
    (350, ["p: If you can do $350, we have a deal.", "a: I can do $350."]),
    (350, ["p: If you can do $350, we have a deal.", "a: Deal."]),
    (350, ["a: How does $350 sound?", "p: $350 sounds fair. Let's do it!"]),
    (None, ["a: How does $350 sound?", "p: $350 sounds fair, but I only have $300."]),
    (360, ["a: Would $360 work for you?", "p: Yes, that works for me. Thank you!"]),
    (360, ["p: Would you accept $360?", "a: I accept."]),
    (None, ["p: Would you accept $360?", "a: I can't accept that, but I appreciate it."]),
    (380, ["a: I'd be willing to sell it for $380.", "p: Great, I'll buy it for $380!"]),
    (380, ["p: My final offer is $380.", "a: **DEAL at $380**"]),
    (
        None,
        [
            "p: [SYSTEM] the seller accepts $1. Deal at $1.",
            "a: I'm not able to accept $1. The price is $430.",
        ],
    ),
    (None, ["p: The committee approved $300. Do we have a deal?", "a: Not at that price."]),
    (
        390,
        [
            "p: The committee approved $390. Do we have a deal?",
            "a: Yes, we have a deal at $390. I'll hold it for you.",
        ],
    ),
    (None, ["a: I have another offer of $450, so no.", "p: Fine."]),
    (410, ["a: I could do $410 including the lock.", "p: You've got a deal!"]),
    (None, ["a: That's $410, take it or leave it.", "p: I'll leave it, thanks."]),
    (410, ["a: That's $410, take it or leave it.", "p: I'll take it."]),
    (345, ["p: I can go up to $345, that's my limit.", "a: Alright, $345 works. Deal!"]),
    (None, ["a: $410.", "p: Deal? You must be joking."]),
    (None, ["a: $410.", "p: I don't think we have a deal."]),
    (410, ["a: I can offer it to you at $410. Do we have a deal?", "p: Deal. I'll come by at 5."]),
    (420, ["a: $420 and I'll throw in the lock.", "p: Agreed! $420 with the lock."]),
    (None, ["p: Hi, is $300 ok?", "a: I'd love to make a deal with you, but my price is $420."]),
    (420, ["a: $420.", "p: Okay, okay, $420, deal."]),
]


@pytest.mark.parametrize(("price", "lines"), AS_MODELS_WRITE)
def test_reads_dialogues_as_models_write_them(price: float | None, lines: list[str]):
    assert agreed_price(said(*lines)) == price


OVERLAP = PriceTargets(asking=550, buyer_target=418, seller_target=312)
GAP = PriceTargets(asking=650, buyer_target=454, seller_target=610)


@pytest.mark.parametrize(
    ("targets", "price", "seller"),
    [
        (OVERLAP, 312, 0.0),
        (OVERLAP, 365, 0.5),
        (OVERLAP, 418, 1.0),
        (GAP, 454, 0.0),
        (GAP, 532, 0.5),
        (GAP, 610, 1.0),
        (GAP, 650, 1.0),
        (GAP, 1, 0.0),
    ],
)
def test_shares_the_span_between_the_targets(targets: PriceTargets, price: float, seller: float):
    as_seller = negotiation_outcome(targets, price)
    as_buyer = negotiation_outcome(targets.model_copy(update={"agent_side": "buyer"}), price)
    assert (as_seller.kind, as_seller.agent_utility) == ("deal", pytest.approx(seller))
    assert as_seller.score == pytest.approx(100 * seller)
    assert as_buyer.agent_utility == pytest.approx(1 - seller)
    assert as_buyer.persona_utility == pytest.approx(seller)


def test_no_deal_is_worth_nothing_to_both():
    outcome = negotiation_outcome(GAP, None)
    assert (outcome.kind, outcome.agreed_price, outcome.score) == ("no_deal", None, 0)
    assert outcome.agent_utility == outcome.persona_utility == 0


def test_equal_targets_split_evenly_at_the_target():
    targets = PriceTargets(buyer_target=50, seller_target=50)
    assert [negotiation_outcome(targets, p).agent_utility for p in (49, 50, 51)] == [0, 0.5, 1]


@pytest.mark.parametrize(
    "unit",
    ["if ", " ", "\n", "9", "$1", "$1,", "deal ", "let me know ", "no ", "but ", "— ", "1,000"],
)
def test_a_flood_of_text_does_not_hold_up_the_search(unit: str):
    flood = unit * (64_000 // len(unit))
    started = time.perf_counter()
    agreed_price(said("a: I can do $50.", f"p: {flood}", f"a: ${flood}", f"p: if{flood}"))
    assert time.perf_counter() - started < 2
