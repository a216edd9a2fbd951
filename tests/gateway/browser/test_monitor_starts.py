"""The page's buttons that start work, and a batch that is shown once it is accepted."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from cornerman.storage import runs, workflows
from tests.gateway.serving import Served

pytestmark = pytest.mark.needs_browser
Open = Callable[..., Page]


def _accept(gateway: Served, run_id: str) -> None:
    with gateway.db.writing() as session:
        workflows.create_workflow(session, "negotiation")
        runs.create_run(
            session,
            run_id=run_id,
            kind="battle",
            workflow_id="negotiation",
            request={"batch_size": 3},
            random_state={},
            simulated=True,
        )


def test_a_batch_is_on_the_page_from_its_acceptance(open_page: Open, gateway: Served) -> None:
    page = open_page(gateway, "/admin/training-monitor?workflow=negotiation")
    expect(page.locator("#feed")).to_contain_text("No battle yet")
    _accept(gateway, "batch-soon")
    line = page.locator("#feed .accepted")
    expect(line).to_contain_text("batch-soon", timeout=3_000)
    expect(line).to_contain_text("accepted")
    expect(page.locator("#cards")).to_contain_text("a batch is starting")


@pytest.mark.parametrize(
    ("what", "kind"), [("batch", "battle"), ("scout", "scout"), ("training", "train")]
)
def test_a_button_starts_it(open_page: Open, gateway: Served, what: str, kind: str) -> None:
    page = open_page(gateway)
    page.locator(f"#starts [data-start={what}]").click()
    dialog = page.locator("dialog.ask")
    expect(dialog).to_contain_text("costs nothing")
    dialog.get_by_role("button", name="Not now").click()
    expect(dialog).to_have_count(0)
    assert gateway.http.get("/api/runs").json() == []
    page.locator(f"#starts [data-start={what}]").click()
    dialog.locator("button[type=submit]").click()
    expect(dialog).to_have_count(0)
    (run,) = gateway.http.get("/api/runs").json()
    assert run["kind"] == kind
    if what == "batch":
        expect(page.locator("#feed")).to_contain_text(run["id"], timeout=3_000)


def test_the_buttons_are_off_while_paid_work_is_stopped(open_page: Open, gateway: Served) -> None:
    page = open_page(gateway)
    buttons = page.locator("[data-start]")
    assert buttons.count() > 3, "empty panels have theirs"
    gateway.http.put("/api/kill-switch", json={"active": True, "reason": "odd bills"})
    page.reload()
    page.wait_for_selector("#stopped:not([hidden])")
    for place in range(buttons.count()):
        expect(buttons.nth(place)).to_be_disabled()
    page.locator("[data-key=resume]").click()
    page.locator("#ask-reason").fill("paid")
    page.locator("dialog.ask button[type=submit]").click()
    expect(buttons.first).to_be_enabled()


def test_a_refusal_is_said_in_the_dialog(open_page: Open, gateway: Served) -> None:
    page = open_page(gateway)
    page.locator("#starts [data-start=scout]").click()
    gateway.http.put("/api/kill-switch", json={"active": True, "reason": "odd bills"})
    page.locator("dialog.ask button[type=submit]").click()
    expect(page.locator("dialog.ask .refused")).to_contain_text("odd bills")


def test_anybody_can_use_the_buttons(open_page: Open, gateway: Served) -> None:
    page = open_page(gateway)
    page.locator("#starts [data-start=batch]").focus()
    page.keyboard.press("Enter")
    expect(page.locator("dialog.ask button[type=submit]")).to_be_focused()
    assert Axe().run(page).violations_count == 0
