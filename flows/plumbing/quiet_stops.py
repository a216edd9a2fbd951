"""A stop is no fault: what a budget, the kill-switch or a cancel refused is told in one line.

Prefect writes a task's exception with its stack, at level ERROR; in a worker's log a batch that
reached its budget would look like a crash.
"""

from __future__ import annotations

import logging

from cornerman.domain.errors import StopError


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
