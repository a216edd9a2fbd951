"""Ending with one's parent, however the parent ends.

A child of `cornerman serve` gets a pipe as its standard input, whose other end only the parent
holds: the pipe's end is the parent's end, kill -9 included.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable

VARIABLE = "CORNERMAN_ENDS_WITH_PARENT"
_LOOK_SECONDS = 0.5
_GOODBYE_SECONDS = 3.0


def end_with_parent(stop: Callable[[], None]) -> bool:
    """Watch the parent, if it asked for that; call `stop` when it ends, and exit soon after.

    Returns:
        Whether it asked.
    """
    if os.environ.pop(VARIABLE, "") != "1":
        return False
    watching = threading.Thread(target=_watch, args=(os.getppid(), stop), daemon=True)
    watching.start()
    return True


def _watch(parent: int, stop: Callable[[], None]) -> None:
    # What the parent forked may hold the pipe open, so the parent's number is looked at too.
    while os.getppid() == parent:
        ready, _, _ = select.select([0], [], [], _LOOK_SECONDS)
        if ready and not os.read(0, 4096):
            break
    # Should `stop` hang, or what it stops.
    last = threading.Timer(_GOODBYE_SECONDS, os._exit, args=(0,))
    last.daemon = True
    last.start()
    stop()
