"""A Prefect server that is gone is told in one line, not by a dump of Prefect's objects."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator

import pytest
from prefect._internal.concurrency import services

from cornerman.flows.plumbing.quiet import tell_services_in_one_line

logger = logging.getLogger("prefect._internal.concurrency")


@pytest.fixture
def kept() -> Iterator[list[logging.LogRecord]]:
    """What passes a fresh filter."""
    before, records = list(logger.filters), list[logging.LogRecord]()
    logger.filters.clear()
    tell_services_in_one_line()
    tell_services_in_one_line()
    handler = logging.Handler()
    handler.emit = records.append
    logger.addHandler(handler)
    yield records
    logger.removeHandler(handler)
    logger.filters[:] = before


def test_what_could_not_be_delivered_is_one_line_however_often(
    kept: list[logging.LogRecord],
) -> None:
    for number in range(3):
        logger.error(
            "Service %r failed to process item %r", "EventsWorker", "x" * 9_000 + f"{number}"
        )
    logger.error("Service %r is stopped", "EventsWorker")
    said = [record.getMessage() for record in kept]
    assert said == [
        "Prefect's server does not answer EventsWorker; the run's own record is kept.",
        "Service 'EventsWorker' is stopped",
    ]


def test_prefect_still_words_it_so() -> None:
    assert '"Service %r failed to process item %r"' in inspect.getsource(services)
    assert services.logger.name == logger.name
