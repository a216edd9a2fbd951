"""What Prefect logs at length is told in a line: stops that are no faults, a server that is gone.

Prefect writes a task's exception with its stack, at level ERROR; in a worker's log a batch that
reached its budget would look like a crash. And its services log each item that they could not
deliver in full, over and over, on whatever the person is looking at.
"""

from __future__ import annotations

import logging
import time

from cornerman.domain.errors import StopError
from cornerman.flows.plumbing.prefect_private import SERVICE_FAILED, SERVICES_LOGGER


class _StopsInOneLine(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, StopError):
            record.exc_info, record.exc_text = None, None
            record.levelno, record.levelname = logging.INFO, "INFO"
            record.msg, record.args = "Not done: %s", (error.message,)
        return True


_FILTER = _StopsInOneLine()


def tell_stops_in_one_line() -> None:
    """Set it up for this process; again does nothing more."""
    for name in ("prefect.task_runs", "prefect.flow_runs"):
        logger = logging.getLogger(name)
        if _FILTER not in logger.filters:
            logger.addFilter(_FILTER)


_PAUSE_SECONDS = 60.0


class _InOneLine(logging.Filter):
    def __init__(self) -> None:
        super().__init__()
        self._told_at: float | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        if not str(record.msg).startswith(SERVICE_FAILED) or not isinstance(record.args, tuple):
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
    logger = logging.getLogger(SERVICES_LOGGER)
    if not any(isinstance(held, _InOneLine) for held in logger.filters):
        logger.addFilter(_InOneLine())
