"""What Prefect's client says when its server does not answer: a line, not its objects.

Its services log each item that they could not deliver in full, over and over, on whatever the
person is looking at.
"""

from __future__ import annotations

import logging
import time

_LOGGER = "prefect._internal.concurrency"
_FAILED = "Service %r failed to process item"
_PAUSE_SECONDS = 60.0


class _InOneLine(logging.Filter):
    def __init__(self) -> None:
        super().__init__()
        self._told_at: float | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        if not str(record.msg).startswith(_FAILED) or not isinstance(record.args, tuple):
            return True
        now = time.monotonic()
        if self._told_at is not None and now - self._told_at < _PAUSE_SECONDS:
            return False
        self._told_at = now
        record.exc_info, record.exc_text = None, None
        record.msg = "Prefect's server does not answer %s; the run's own record is kept."
        record.args = record.args[:1]
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True


def tell_services_in_one_line() -> None:
    """Set it up for this process; again does nothing more."""
    logger = logging.getLogger(_LOGGER)
    if not any(isinstance(held, _InOneLine) for held in logger.filters):
        logger.addFilter(_InOneLine())
