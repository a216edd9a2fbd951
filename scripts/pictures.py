"""Make the pictures of the README: the monitor while a batch runs, and the demo's report.

Everything in them is simulated and says so. It takes a few minutes and needs Chromium:
`.venv/bin/python scripts/pictures.py`.
"""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Generator
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
COMMAND = Path(sys.executable).with_name("cornerman")
MOST_BYTES = 300_000
BATCHES = 4
BATTLES = 8
WIDTH = 1360
_QUIET = subprocess.DEVNULL


def main() -> None:
    """Run the demo and some batches, then photograph what came of it."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        env, place = _environment(Path(folder)), Path(folder)
        _cornerman(env, place, "demo")
        # The demo keeps a home of its own; the batches and the gateway go there too.
        env["CORNERMAN_HOME"] = str(place / "home" / "demo")
        for number in range(BATCHES):
            print(f"batch {number + 1} of {BATCHES}", flush=True)
            _cornerman(env, place, "battle", "--batch-size", str(BATTLES))
        browser = playwright.chromium.launch(executable_path=_chromium(), args=_arguments())
        DOCS.mkdir(exist_ok=True)
        _photograph_report(browser, place / "cornerman-demo.html")
        _photograph_monitor(browser, env, place)
        browser.close()


def _environment(folder: Path) -> dict[str, str]:
    """A clean environment: no key of the user's, so that the rehearsal endpoint answers."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "CORNERMAN_HOME": str(folder / "home"),
        "API_TOKEN": secrets.token_hex(16),
        "DELAY_BETWEEN_BATTLES_MS": "100",
        "DO_NOT_TRACK": "1",
    }


def _cornerman(env: dict[str, str], folder: Path, *arguments: str) -> None:
    done = subprocess.run(
        [COMMAND, *arguments], env=env, cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"cornerman {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")


def _photograph_report(browser: Browser, path: Path) -> None:
    page = browser.new_page(viewport={"width": WIDTH, "height": 1000})
    page.goto(path.as_uri())
    _save(page.screenshot(), DOCS / "report.png")


def _photograph_monitor(browser: Browser, env: dict[str, str], folder: Path) -> None:
    """While a batch runs, so that the picture shows what the page is for."""
    with _serving(env, folder) as url, _running_batch(env, folder):
        page = browser.new_page(viewport={"width": WIDTH, "height": 1450})
        page.goto(f"{url}/admin/training-monitor")
        page.fill("#token", env["API_TOKEN"])
        page.keyboard.press("Enter")
        # Three battles that talk, and the first scores.
        page.locator(".feed .live", has_text="turn").nth(2).wait_for(timeout=120_000)
        page.wait_for_timeout(3_000)
        _save(page.screenshot(), DOCS / "monitor.png")


@contextlib.contextmanager
def _serving(env: dict[str, str], folder: Path) -> Generator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [COMMAND, "serve", "--port", str(port)]
    server = subprocess.Popen(command, env=env, cwd=folder, stdout=_QUIET, stderr=_QUIET)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{url}/healthz", server)
        yield url
    finally:
        server.terminate()
        server.wait(20)


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        if server.poll() is not None:
            sys.exit("The gateway ended.")
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):  # noqa: S310
            return
        time.sleep(0.1)
    sys.exit("The gateway did not begin to serve.")


@contextlib.contextmanager
def _running_batch(env: dict[str, str], folder: Path) -> Generator[None]:
    command = [COMMAND, "battle", "--batch-size", str(BATTLES)]
    # As slow as a model, so that there is something to see.
    slow = env | {"REHEARSAL_LATENCY_MS": "700", "MAX_CONCURRENT_BATTLES": "3"}
    batch = subprocess.Popen(command, env=slow, cwd=folder, stdout=_QUIET, stderr=_QUIET)
    try:
        yield
    finally:
        batch.terminate()
        batch.wait(60)


def _save(png: bytes, path: Path) -> None:
    """Write a picture, with 256 colours when that is what makes it small enough."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.save(path, optimize=True)
    if path.stat().st_size > MOST_BYTES:
        picture.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    size = path.stat().st_size
    print(f"{path.relative_to(ROOT)}: {size:,} bytes")
    if size > MOST_BYTES:
        sys.exit(f"{path} is over {MOST_BYTES:,} bytes.")


def _chromium() -> str:
    names = (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    return found or sys.exit("No Chromium; as root: apt-get install chromium")


def _arguments() -> list[str]:
    # Chromium's own sandbox does not start as root.
    return ["--no-sandbox"] if os.geteuid() == 0 else []


if __name__ == "__main__":
    main()
