"""Who gives the heap back to the collector, and when."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import gc
from cornerman.domain.heap import heap_at_rest, rest_heap_for_good

with heap_at_rest():
    with heap_at_rest():
        assert gc.get_freeze_count()
    assert gc.get_freeze_count(), "the outer block goes on"
assert not gc.get_freeze_count()
rest_heap_for_good()
with heap_at_rest():
    pass
assert gc.get_freeze_count(), "a run in a warmed process gave back what was warmed"
"""


def test_blocks_overlap_and_a_warmed_process_stays_at_rest() -> None:
    # In a process of its own: the heap is the whole process's.
    subprocess.run([sys.executable, "-c", SCRIPT], check=True, timeout=60)
