"""One endpoint without latency for all tests of this folder."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rehearsal.rehearsal_client import Connection

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "cornerman" / "examples"


@pytest.fixture(scope="session")
def base_url() -> Iterator[str]:
    command = [sys.executable, "-m", "cornerman.rehearsal", "--with-parent"]
    with subprocess.Popen(
        [*command, "--latency-ms", "0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdout and process.stdin
        yield json.loads(process.stdout.readline())["base_url"]
        process.stdin.close()


@pytest.fixture
def endpoint(base_url: str) -> Connection:
    return Connection(base_url)


@pytest.fixture(scope="session")
def triage_cases() -> list[dict]:
    lines = (EXAMPLES / "triage.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]
