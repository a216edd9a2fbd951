"""Whatever models and personas write stays text."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Error, Locator, Page, expect

from tests.gateway.browser.sample_monitor import HEBREW, HOSTILE, LONG, SCRIPT
from tests.gateway.serving import Served

pytestmark = pytest.mark.needs_browser


@pytest.fixture
def turns(open_page: Callable[..., Page], filled: Served) -> Locator:
    """The hostile transcript's turns, open."""
    page = open_page(filled)
    page.locator(f"[data-key={HOSTILE}], [data-key=battle-{HOSTILE}]").first.click()
    found = page.get_by_role("dialog").locator(".turns > li")
    expect(found).to_have_count(4)
    return found


def test_a_script_and_its_quotes_are_shown_and_never_run(turns: Locator) -> None:
    assert turns.nth(0).locator(".turn > .text").inner_text() == SCRIPT
    assert turns.page.evaluate("window.hacked") is None
    assert turns.page.locator("dialog img, dialog script").count() == 0


def test_direction_overrides_are_shown_and_right_to_left_text_runs_its_way(turns: Locator) -> None:
    assert turns.nth(1).locator(".turn > .text").inner_text() == "‹U+202E›gnp.exe‹U+202C›"
    hebrew = turns.nth(2).locator(".turn > .text")
    assert hebrew.inner_text() == HEBREW
    assert hebrew.evaluate("element => getComputedStyle(element).direction") == "rtl"


def test_a_text_of_a_megabyte_is_cut_and_shown_whole_when_asked_for(turns: Locator) -> None:
    long = turns.nth(3).locator(".turn > .text")
    assert len(long.inner_text()) == 20_000
    expect(turns.nth(3)).to_contain_text("20,000 of")
    turns.nth(3).get_by_role("button", name="Show all").click()
    assert long.inner_text() == LONG
    expect(long).to_be_focused()


def test_even_a_careless_script_could_not_make_markup_of_text(
    browser: Browser, gateway: Served
) -> None:
    page = browser.new_page()
    page.goto(f"{gateway.url}/admin/login")
    # Chromium itself refuses it, by the policy on trusted types.
    with pytest.raises(Error, match="TrustedHTML"):
        page.evaluate("() => { document.body.innerHTML = '<b>markup</b>'; }")
