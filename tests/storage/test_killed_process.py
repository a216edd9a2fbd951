"""A process that is killed between any two instructions loses nothing that was acknowledged."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

from sqlalchemy import select

from cornerman.storage import events, ledger
from cornerman.storage.database import Database
from cornerman.storage.tables import llm_calls
from tests.storage.samples import make_run

ROOT = Path(__file__).resolve().parents[2]


def kill_while_writing(url: str, seconds: float) -> set[int]:
    """Start a writer, kill it some time after its first write; return what it was promised."""
    command = [sys.executable, "-m", "tests.storage.write_forever", url]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    first = process.stdout.readline()
    time.sleep(seconds)
    process.kill()
    # A line that was cut off was not promised.
    lines = [first, *process.stdout.read().splitlines(keepends=True)]
    process.wait()
    return {int(line) for line in lines if line.endswith("\n")}


def test_what_was_acknowledged_survives_kill_9_without_gaps(db: Database):
    make_run(db)
    url = db.engine.url.render_as_string(hide_password=False)
    moments = random.Random(7)
    promised = set[int]()
    for _ in range(3):
        promised |= kill_while_writing(url, moments.uniform(0.02, 0.25))
    with db.reading() as session:
        seqs = [event.seq for event in events.read_events(session, "r", limit=100_000)]
        calls = session.execute(select(llm_calls.c.status)).scalars().all()
        day = ledger.read_budget(session, "day")
    assert promised <= set(seqs)
    assert seqs == list(range(1, len(seqs) + 1))
    assert calls == ["settled"] * len(seqs)
    assert day is not None and (day.spent_pico, day.reserved_pico) == (3 * len(seqs), 0)
