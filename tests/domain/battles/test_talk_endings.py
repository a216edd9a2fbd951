"""How talks end when something is still to be done, and in other languages and currencies."""

from __future__ import annotations

import pytest

from cornerman.domain.battles import Turn
from cornerman.domain.battles.conversation import agent_situation, end_reason, make_turn
from cornerman.domain.battles.negotiation import agreed_price
from cornerman.domain.battles.phrases import parse_prices
from cornerman.domain.battles.workflows import Limits
from cornerman.domain.personas import PriceTargets, Scenario


def scene(currency: str | None = None) -> Scenario:
    targets = None
    if currency is not None:
        targets = PriceTargets(buyer_target=300, seller_target=400, currency=currency)
    return Scenario(
        id="s", description="d", agent_goal="g", persona_goal="p", price_targets=targets
    )


def talk(*lines: str) -> list[Turn]:
    return [make_turn(n, "agent" if n % 2 else "persona", line) for n, line in enumerate(lines)]


CONFIRMED = [
    ("Shall I cancel EHGLP3? Please confirm (yes/no).", "Yes, please. [GOAL REACHED]"),
    ("I would refund $42 to your card. Do you want me to proceed?", "Go ahead. [GOAL REACHED]"),
    ("Let me know and I will book it.", "[GOAL REACHED] Sure, thanks!"),
    ("Soll ich die Buchung stornieren?", "Ja, bitte. [GOAL REACHED]"),
    ("¿Confirma la cancelación?", "Sí, confirmo. [GOAL REACHED]"),
    ("Voulez-vous que je procède ?", "Oui, merci. [GOAL REACHED]"),
    ("需要为您取消吗？", "是的，谢谢。[GOAL REACHED]"),
    ("キャンセルしますか？", "はい、お願いします。[GOAL REACHED]"),
    ("Отменить бронирование?", "Да, спасибо. [GOAL REACHED]"),
]


@pytest.mark.parametrize(("asked", "said"), CONFIRMED)
def test_what_the_persona_confirms_as_it_ends_the_agent_may_still_do(asked: str, said: str) -> None:
    lines = ("Hello", asked, said)
    for limits in (Limits(), Limits(turn_limit=3)):
        assert end_reason(talk(*lines), scene(), limits) is None
        assert end_reason(talk(*lines, "It is done."), scene(), limits) == "goal_reached"
    # One turn and no more, whatever the agent says in it.
    assert end_reason(talk(*lines, "Are you sure?"), scene(), Limits()) == "goal_reached"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("I have cancelled it.", "Thanks! [GOAL REACHED]"),
        ("Is there anything else?", "No, that is all. [GOAL REACHED]"),
        ("Is there anything else?", "Thank you so much. [GOAL REACHED]"),
    ],
)
def test_where_nothing_is_left_to_do_the_talk_is_over(asked: str, said: str) -> None:
    assert end_reason(talk("Hello", asked, said), scene(), Limits()) == "goal_reached"


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("350 zł", 350),
        ("4 500 ₽", 4_500),
        ("12\u00a0000 kr", 12_000),
        ("¥35,000", 35_000),
        ("300元", 300),
        ("R$ 1.200,50", 1_200.5),
        ("1 200,50 €", 1_200.5),
        ("CHF 300", 300),
        ("₹45,000", 45_000),
        ("4500 руб.", 4_500),
        ("300 Franken", 300),
        ("€1.250", 1_250),
    ],
)
def test_prices_of_many_currencies_are_read(text: str, price: float) -> None:
    assert [mention.value for mention in parse_prices(f"It is {text} then")] == [price]


@pytest.mark.parametrize("text", ["size 42", "in 2016", "12 gears", "3 000 items", "10,5 km"])
def test_numbers_without_a_currency_are_no_prices(text: str) -> None:
    assert parse_prices(text) == []


@pytest.mark.parametrize(
    ("lines", "price"),
    [
        (("Ich biete 350 €.", "DEAL at €350. Vielen Dank!"), 350),
        (("Te ofrezco 300 euros", "DEAL at €300"), 300),
        (("Dam 350 zł.", "DEAL at zł 350 - DEAL at 350 zł"), 350),
        (("我出300元", "DEAL at 300元"), 300),
    ],
)
def test_a_deal_is_one_in_any_language_by_its_marker(lines: tuple[str, str], price: float) -> None:
    assert agreed_price(talk(*lines)) == price
    assert end_reason(talk(*lines), scene("€"), Limits()) == "goal_reached"


def test_both_sides_are_told_how_the_scenarios_currency_is_written() -> None:
    assert "DEAL at €X" in agent_situation(scene("€"))
    assert "DEAL at CHF X" in agent_situation(scene("CHF"))
    assert "DEAL at $X" in agent_situation(scene("$"))


@pytest.mark.parametrize("text", ["Ich gehe. [WALK AWAY]", "我走了 [walk away]"])
def test_leaving_is_marked_alike_in_any_language(text: str) -> None:
    assert end_reason(talk(text), scene("€"), Limits()) == "walk_away"
