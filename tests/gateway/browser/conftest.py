"""Chromium on a gateway whose database holds a sample of everything."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.gateway.browser.sample_monitor import fill
from tests.gateway.serving import API_TOKEN, Served
from tests.support.browser import launch_arguments

PAGE = "/admin/training-monitor"


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=launch_arguments())
        yield browser
        browser.close()


@pytest.fixture
def filled(gateway: Served) -> Served:
    """A gateway with a training run, four batches, and everything that comes of them."""
    with gateway.db.writing() as session:
        fill(session)
    return gateway


@pytest.fixture
def open_page(browser: Browser, serve: object) -> Iterator[Callable[..., Page]]:
    """`open_page(gateway)` signs in and waits for the page; what the console says fails the test.

    It asks for `serve` so that the pages are closed before their gateway is.
    """
    said: list[str] = []
    contexts = []

    def open_it(gateway: Served, path: str = PAGE, **options: object) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        session = {"name": "cornerman_session", "value": _session(gateway), "url": gateway.url}
        context.add_cookies([session])
        page = context.new_page()
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(gateway.url + path)
        page.wait_for_selector(".connection.on")
        page.wait_for_selector("[aria-busy]", state="detached")
        return page

    yield open_it
    for context in contexts:
        context.close()
    # Chromium itself says so when a test takes the network away, or has paid work refused.
    told = ("ERR_INTERNET_DISCONNECTED", "status of 503")
    assert [text for text in said if not any(name in text for name in told)] == []


def _session(gateway: Served) -> str:
    answer = gateway.open.post("/admin/login", json={"token": API_TOKEN})
    return answer.cookies["cornerman_session"]
