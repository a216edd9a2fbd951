"""The page in a real browser: quiet, alone, drawn, usable by keyboard."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sample_report import sample_report

from cornerman.report import Report, render_report

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(
    (
        found
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (found := shutil.which(name))
    ),
    None,
)
pytestmark = [
    pytest.mark.needs_browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]
INKED = """() => [...document.querySelectorAll('.chart')].map(chart => {
  const canvas = chart.querySelector('canvas');
  const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  return pixels.some((value, place) => place % 4 === 3 && value > 0);
})"""


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def address(tmp_path: Path) -> str:
    path = tmp_path / "report.html"
    path.write_text(render_report(sample_report()), encoding="utf-8")
    return path.as_uri()


def test_no_console_message_no_request_and_every_chart_drawn(
    browser: sync_api.Browser, address: str
) -> None:
    page, said, asked = browser.new_page(), [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    assert page.evaluate(INKED) == [True, True, True]
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [address]


def test_an_empty_report_runs_without_errors(browser: sync_api.Browser, tmp_path: Path) -> None:
    path, said, page = tmp_path / "empty.html", [], browser.new_page()
    path.write_text(render_report(Report(title="t", generated_at="")), encoding="utf-8")
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(path.as_uri())
    assert said == []


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_nothing_sticks_out_sideways(browser: sync_api.Browser, address: str, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto(address)
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_cases_are_filtered_and_opened_by_keyboard(browser: sync_api.Browser, address: str) -> None:
    page = browser.new_page()
    page.goto(address)
    page.locator("[data-filter=broke]").focus()
    page.keyboard.press("Enter")
    shown = page.locator(".case:visible")
    assert set(shown.evaluate_all("all => all.map(c => c.dataset.verdict)")) == {"broke"}
    shown.first.locator("summary").focus()
    page.keyboard.press("Enter")
    assert shown.first.locator(".fields").is_visible()


def test_show_all_reveals_the_rest(browser: sync_api.Browser, address: str) -> None:
    page = browser.new_page()
    page.goto(address)
    assert page.locator(".case:visible").count() == 12
    page.locator("[data-more]").click()
    assert page.locator(".case:visible").count() == 120


def test_everything_can_be_read_without_script(browser: sync_api.Browser, address: str) -> None:
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(address)
    assert page.locator(".case:visible").count() == 120


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_accessibility_violation(browser: sync_api.Browser, address: str, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    # The page's own policy blocks every foreign script, so the checker has to step around it.
    page = browser.new_context(color_scheme=scheme, bypass_csp=True).new_page()
    page.goto(address)
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    found = axe.run(page)
    assert found.violations_count == 0, found.generate_report()
