"""`cornerman serve`: one supervisor over gateway, Prefect server and worker."""

from __future__ import annotations

import base64
import json
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from playwright.sync_api import sync_playwright

from tests.support.browser import launch_arguments
from tests.support.command import run_cornerman
from tests.support.deployed import answers, wait_for
from tests.support.ports import free_port
from tests.support.serving import Serving


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    home = tmp_path / "home"
    home.mkdir()
    held = Serving(home)
    yield held
    held.stop()


@pytest.mark.slow
@pytest.mark.timeout(230)
def test_one_machine_from_start_to_end(serving: Serving) -> None:
    shown = serving.document()
    assert answers(f"{shown['address']}/healthz")
    assert shown["monitor"].endswith("/admin/training-monitor")
    serving.until_up()
    _prefect_asks_for_its_key(serving, shown)

    second = run_cornerman(
        "serve", "--port", str(free_port()), home=serving.home, cwd=serving.home, env=serving.env
    )
    assert second.returncode == 0
    assert "already up" in second.stdout + second.stderr
    assert shown["address"] in second.stdout

    worker = serving.child("cornerman.deployments.worker")
    worker.kill()
    again = wait_for(lambda: _another(serving, worker.pid), seconds=30, what=serving.log)
    assert again.pid != worker.pid

    family = serving.family()
    began = time.monotonic()
    serving.process.send_signal(signal.SIGINT)
    assert serving.process.wait(10) == 0, serving.log()
    assert time.monotonic() - began < 5
    assert psutil.wait_procs(family, timeout=1)[1] == []


def _prefect_asks_for_its_key(serving: Serving, shown: dict[str, Any]) -> None:
    """Not even a page that reaches loopback may start runs; who may, is not in the way."""
    api = f"{shown['prefect']}/api"
    for path in ("deployments/filter", "flow_runs/filter", "admin/settings"):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            ask(f"{api}/{path}", b"{}" if "filter" in path else None)
    key = (serving.home / "prefect" / "key").read_text()
    assert (serving.home / "prefect" / "key").stat().st_mode & 0o077 == 0
    deployments = json.loads(ask(f"{api}/deployments/filter", b"{}", key))
    assert {one["name"] for one in deployments} >= {"manual", "every-30-minutes", "nightly"}
    told = [*serving.home.glob("logs/*"), serving.home / "serve.out", serving.home / "serve.err"]
    for secret in (key, key.removeprefix("cornerman:"), base64.b64encode(key.encode()).decode()):
        assert not [path for path in told if secret in path.read_text()]
        arguments = " ".join(" ".join(one.cmdline()) for one in serving.family())
        assert secret not in arguments
    # Commands of this home find it by themselves.
    env = serving.env | {"PREFECT_API_URL": api}
    done = run_cornerman("deploy", "--json", home=serving.home, cwd=serving.home, env=env)
    assert done.returncode == 0, done.stderr
    doctor = run_cornerman("doctor", "--json", home=serving.home, cwd=serving.home, env=env)
    assert "asks for its key" not in doctor.stdout
    stranger = run_cornerman(
        "deploy",
        "--json",
        home=serving.home / "other",
        cwd=serving.home,
        env=serving.env | {"PREFECT_API_URL": api, "CORNERMAN_HOME": str(serving.home / "other")},
    )
    assert stranger.returncode == 1 and "asks for its key" in stranger.stdout
    assert "PREFECT_API_AUTH_STRING" in stranger.stdout


@pytest.mark.slow
@pytest.mark.timeout(230)
def test_a_browser_gets_to_prefects_pages_by_way_of_the_monitor(
    serving: Serving, chromium: str
) -> None:
    shown = serving.document()
    serving.until_up()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=launch_arguments())
        page = browser.new_page()
        page.goto(shown["monitor"])
        page.get_by_role("link", name="Prefect").click()
        page.wait_for_url(f"{shown['prefect']}/**/dashboard**", timeout=30_000)
        page.get_by_text("Flow Runs", exact=False).first.wait_for(timeout=30_000)
        assert "login" not in page.url and "#" not in page.url
        browser.close()


def ask(url: str, body: bytes | None = None, key: str = "") -> str:
    word = base64.b64encode(key.encode()).decode()
    headers = {"content-type": "application/json"}
    if key:
        headers["authorization"] = f"Basic {word}"
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10) as answer:
        return answer.read().decode()


def _another(serving: Serving, pid: int) -> psutil.Process | None:
    try:
        found = serving.child("cornerman.deployments.worker")
    except (StopIteration, psutil.NoSuchProcess):
        return None
    return found if found.pid != pid else None


@pytest.mark.slow
def test_what_a_killed_supervisor_started_ends_by_itself_and_it_can_start_again(
    serving: Serving,
) -> None:
    serving.document()
    wait_for(lambda: len(serving.family()) >= 2, seconds=30, what=serving.log)
    family = serving.family()
    serving.process.kill()
    serving.process.wait()
    assert psutil.wait_procs(family, timeout=8)[1] == []
    serving.start()
    assert answers(f"{serving.document()['address']}/healthz")
