"""The page while things happen: it follows, comes back after a loss, and stops the work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from cornerman.domain.runs import NewEvent
from cornerman.storage import events
from tests.gateway.serving import Served, end, new_run

pytestmark = pytest.mark.needs_browser
Open = Callable[..., Page]


def tell(gateway: Served, run_id: str, event: str, **payload: Any) -> None:
    with gateway.db.writing() as session:
        events.create_event(session, run_id, NewEvent("battle_batch", event, payload))


def turn(gateway: Served, number: int, text: str) -> None:
    said = {"index": number, "speaker": "agent", "text": text}
    facts = {"batch_id": "batch-live", "battle_id": "live-1", "persona_id": "negotiation-skeptic"}
    tell(gateway, "batch-live", "battle_turn", turn=said, **facts)


def test_a_turn_is_on_the_page_within_a_second(open_page: Open, filled: Served) -> None:
    page = open_page(filled)
    new_run(filled.db, "batch-live", kind="battle", workflow="negotiation")
    page.wait_for_timeout(300)
    turn(filled, 0, "I can do 380 today.")
    row = page.locator("[data-key=battle-live-1]")
    expect(row).to_contain_text("I can do 380 today.", timeout=1_000)
    expect(row).to_contain_text("Sceptical Sana")
    turn(filled, 1, "<b>Make it 350.</b>")
    expect(row).to_contain_text("<b>Make it 350.</b>", timeout=1_000)
    expect(row).to_contain_text("2 turns")


def test_nothing_is_missed_while_the_connection_is_lost(open_page: Open, filled: Served) -> None:
    new_run(filled.db, "batch-live", kind="battle", workflow="negotiation")
    page = open_page(filled)
    turn(filled, 0, "Before the loss.")
    row = page.locator("[data-key=battle-live-1]")
    expect(row).to_contain_text("Before the loss.")
    page.context.set_offline(True)
    turn(filled, 1, "During the loss.")
    page.context.set_offline(False)
    expect(row).to_contain_text("During the loss.", timeout=15_000)


def test_a_case_moves_the_training_on(open_page: Open, gateway: Served) -> None:
    page = open_page(gateway)
    expect(page.locator("#training")).to_contain_text("cornerman train SPEC")
    new_run(gateway.db, "train-live", workflow="negotiation")
    case = {"case_index": 3, "case_id": "parcel-3", "epoch": 1, "status": "timed_out"}
    tell(gateway, "train-live", "training_progress", inputs={"q": "Where?"}, **case)
    expect(page.locator("#training")).to_contain_text("parcel-3", timeout=3_000)
    expect(page.locator("#training")).to_contain_text("timed out")
    end(gateway.db, "train-live", status="stopped", stopped_by="kill_switch")
    tell(gateway, "train-live", "training_result")
    expect(page.locator("#training")).to_contain_text("stopped by kill switch", timeout=3_000)


def test_the_kill_switch_needs_a_reason_and_a_confirmation(open_page: Open, filled: Served) -> None:
    page = open_page(filled)
    page.get_by_role("button", name="Stop paid work").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("Give a reason.")
    assert filled.http.get("/api/kill-switch").json()["active"] is False
    page.get_by_role("textbox", name="Reason").fill("The costs look wrong.")
    page.get_by_role("button", name="Stop now").click()
    expect(page.locator("#stopped")).to_contain_text("The costs look wrong.")
    switch = filled.http.get("/api/kill-switch").json()
    assert (switch["active"], switch["reason"]) == (True, "The costs look wrong.")
    page.get_by_role("button", name="Let work go on").click()
    page.get_by_role("textbox", name="Reason").fill("They were right.")
    page.get_by_role("dialog").get_by_role("button", name="Let work go on").click()
    expect(page.locator("#stopped")).to_be_hidden()


@pytest.mark.slow
def test_the_page_fills_while_a_batch_runs_and_the_switch_stops_it(
    open_page: Open, serve: Callable[..., Served], sqlite_db: Any
) -> None:
    # Slow enough that the switch comes before the end.
    gateway = serve(sqlite_db, MAX_CONCURRENT_BATTLES="1", REHEARSAL_LATENCY_MS="100")
    page = open_page(gateway)
    started = gateway.cron.post("/api/cron/train", json={"batchSize": 10}).json()
    run_id = started["batch"]["batchId"]
    expect(page.locator("#feed .row").first).to_be_visible(timeout=90_000)
    expect(page.locator("#feed .row .result strong").first).to_be_visible(timeout=60_000)
    page.get_by_role("button", name="Stop paid work").click()
    page.get_by_role("textbox", name="Reason").fill("Enough seen.")
    page.get_by_role("button", name="Stop now").click()
    expect(page.locator("#cards")).to_contain_text("none running now", timeout=30_000)
    run = gateway.http.get(f"/api/runs/{run_id}").json()
    assert (run["status"], run["stopped_by"]) == ("stopped", "kill_switch")
