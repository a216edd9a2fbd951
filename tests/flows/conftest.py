"""Every flow test runs against the session's one temporary Prefect server."""

from __future__ import annotations

import pytest

from tests.support.training import world  # noqa: F401


@pytest.fixture(autouse=True)
def prefect_server(prefect_harness: None) -> None:
    """Ask for the server, so that no flow starts one of its own."""
