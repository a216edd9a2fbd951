"""The whole API against its own description, by a tool that knows nothing of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cornerman.storage.database import Database
from tests.gateway.samples import fought, store_checkpoints
from tests.gateway.serving import API_TOKEN, CRON_SECRET, Served, end, new_run, say


@pytest.mark.slow
@pytest.mark.parametrize(
    ("chosen", "secret"),
    [
        # What starts work would start it a hundred times.
        (["--exclude-path-regex", "^/api/(cron/|monitor/start)"], API_TOKEN),
        # The running batch keeps this from starting real ones; a scan would start.
        (["--include-path", "/api/cron/train"], CRON_SECRET),
    ],
    ids=["api", "cron"],
)
def test_every_answer_is_as_described(
    serve: Callable[..., Served],
    sqlite_db: Database,
    tmp_path: Path,
    chosen: list[str],
    secret: str,
) -> None:
    gateway = serve(sqlite_db)
    store_checkpoints(gateway.db, 3)
    fought(gateway.db)
    new_run(gateway.db, "r")
    say(gateway.db, "r", {"n": 1})
    end(gateway.db, "r")
    document = tmp_path / "openapi.json"
    document.write_text(gateway.http.get("/openapi.json").text)
    options = ["--url", gateway.url, "--header", f"Authorization: Bearer {secret}", *chosen]
    bounds = ["--max-examples", "8", "--generation-deterministic", "--no-color"]
    done = subprocess.run(
        [_schemathesis(), "run", str(document), *options, *bounds],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-2_000:]


def _schemathesis() -> str:
    return str(Path(sys.executable).with_name("schemathesis"))
