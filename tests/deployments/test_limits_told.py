"""`cornerman doctor` says what holds the limit of cases at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prefect.settings import PREFECT_API_URL

from cornerman.deployments.prefect_api import server_client
from tests.support.command import Finished


def told(done: Finished) -> str:
    checks: list[dict[str, Any]] = done.json()["checks"]
    return next(check["message"] for check in checks if check["name"] == "limits")


def test_without_a_server_leases_hold_it(cornerman: Callable[..., Finished]) -> None:
    assert told(cornerman("doctor", "--json")).endswith("held by leases in it.")


def test_with_a_server_it_depends_on_its_limits(
    prefect_harness: None, cornerman: Callable[..., Finished]
) -> None:
    url = str(PREFECT_API_URL.value())
    env = {"PREFECT_API_URL": url}
    assert "has no limits by tag" in told(cornerman("doctor", "--json", env=env))
    with server_client(url) as client:
        client.create_concurrency_limit(tag="agent-case", concurrency_limit=8)
        try:
            assert "Prefect's tag limits" in told(cornerman("doctor", "--json", env=env))
        finally:
            client.delete_concurrency_limit_by_tag("agent-case")
