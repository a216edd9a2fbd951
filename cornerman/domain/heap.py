"""Python's garbage collector, kept from what lives as long as the process anyway.

Prefect, the gateway's app and the model client are hundreds of thousands of objects; to walk them
takes a fifth of a second in which no case moves, no event is written and nobody is answered.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Generator

_resting = 0


@contextlib.contextmanager
def heap_at_rest() -> Generator[None]:
    """Keep the collector from walking all that is there, in the middle of work.

    Blocks may overlap; the last one's end gives the objects back.
    """
    global _resting
    # What is garbage already is few, and looked at in the end.
    gc.freeze()
    _resting += 1
    try:
        yield
    finally:
        _resting -= 1
        if not _resting:
            gc.unfreeze()


def rest_heap_for_good() -> None:
    """The same until the process ends, without what is garbage now: for one that waits for work."""
    global _resting
    gc.collect()
    gc.freeze()
    _resting += 1
