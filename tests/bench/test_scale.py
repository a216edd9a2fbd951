"""The formulas of design/scale.md against a simulation that uses none of them."""

from __future__ import annotations

import pytest

from tests.bench.scale_costs import Cost, Used
from tests.bench.scale_model import Provider, Setup, predict, round_seconds, setup_for
from tests.bench.scale_simulation import simulate

NOTHING = Used(**dict.fromkeys(Used.__dataclass_fields__, 0.0))


def used(**given: float) -> Used:
    return Used(**NOTHING.__dict__ | given)


COST = Cost(
    unit=used(worker_cpu_s=0.5, server_cpu_s=0.1, calls=11, input_tokens=9_000, output_tokens=900),
    run=used(wall_s=9, worker_cpu_s=5, server_cpu_s=0.5),
    writes=40,
    write_ms=3,
)


@pytest.mark.parametrize("rate", [1, 10, 100, 600, 1_000])
def test_model_and_simulation_agree(rate: int) -> None:
    setup, provider = setup_for(rate), Provider()
    said, seen = predict(setup, COST, provider), simulate(setup, COST, provider, slots=30)
    assert said.battles_per_hour == pytest.approx(seen.battles_per_hour, rel=0.01)
    assert said.in_flight == pytest.approx(seen.in_flight, rel=0.1)
    assert said.batch_s == pytest.approx(seen.batch_s, rel=0.1)
    assert said.process == pytest.approx(seen.process, rel=0.1)


def test_both_say_what_an_account_s_limit_lets_through() -> None:
    setup, provider = setup_for(2_000), Provider(requests_per_minute=100)
    said, seen = predict(setup, COST, provider), simulate(setup, COST, provider)
    assert said.battles_per_hour == pytest.approx(100 * 60 / 11)
    assert seen.battles_per_hour == pytest.approx(said.battles_per_hour, rel=0.15)
    assert seen.refused > 0.5


def test_both_say_that_a_slow_batch_takes_two_slots() -> None:
    setup, provider = setup_for(600), Provider(call_seconds=5)
    said, seen = predict(setup, COST, provider), simulate(setup, COST, provider)
    assert said.battles_per_hour == pytest.approx(300, rel=0.001)
    assert seen.battles_per_hour == pytest.approx(300, rel=0.02)


@pytest.mark.parametrize("rate", [1, 10, 11, 60, 599, 601, 1_000, 10_000])
def test_a_setup_holds_what_was_asked_within_the_product_s_limits(rate: int) -> None:
    setup = setup_for(rate)
    assert setup.asked_per_hour >= rate
    assert 1 <= setup.batch <= 10
    assert setup.period_s >= 60


def test_one_battle_alone_waits_for_nobody() -> None:
    assert round_seconds({"writer": 0.2, "process": 0.3}, 1.0, 1) == pytest.approx(1.5)


def test_a_server_that_is_always_busy_gives_the_pace() -> None:
    # A hundred battles at a server of 0.1 s: ten calls a second, so each takes ten seconds.
    assert round_seconds({"server": 0.1}, 1.0, 100) == pytest.approx(10.0, rel=0.01)


def test_the_default_setup_is_five_battles_every_half_hour() -> None:
    assert setup_for(10) == Setup(1, 5, 1800.0, at_once=3, delay_s=1.0)
