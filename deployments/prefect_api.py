"""Talking to the Prefect server of PREFECT_API_URL, without asyncio."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from http import HTTPStatus
from typing import Any

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL, temporary_settings

from cornerman.domain.errors import CornermanError
from cornerman.flows.plumbing.prefect_private import http_client_of
from cornerman.settings import KEY_HINT

_START_COMMAND = "prefect server start, or cornerman serve"


class PrefectServerError(CornermanError):
    """The Prefect server cannot be used."""

    code = "prefect"


@contextlib.contextmanager
def server_client(api_url: str) -> Generator[SyncPrefectClient]:
    """A client of the server at `api_url`.

    Raises:
        PrefectServerError: It does not answer, or not without its key.
    """
    with temporary_settings(updates={PREFECT_API_URL: api_url}):
        client: Any = get_client(sync_client=True)
        with client:
            failure = client.api_healthcheck()
            if failure is not None:
                raise PrefectServerError(
                    f"The Prefect server at {api_url} does not answer: {failure}",
                    hint=f"Start it ({_START_COMMAND}), or correct PREFECT_API_URL.",
                )
            try:
                yield client
            except PrefectHTTPStatusError as error:
                if error.response.status_code != HTTPStatus.UNAUTHORIZED:
                    raise
                raise PrefectServerError(
                    f"The Prefect server at {api_url} asks for its key.", hint=KEY_HINT
                ) from error


def is_on_postgresql(client: SyncPrefectClient) -> bool:
    """Whether the server keeps its data in PostgreSQL; False also when that cannot be told.

    The server hides its database's address, so a harmless question is asked that the two kinds
    answer differently: PostgreSQL has no text with a zero byte in it and refuses to compare with
    one, while SQLite finds nothing.
    """
    held: httpx.Client = http_client_of(client)
    stated = held.get("/admin/settings").json().get("server", {}).get("database", {})
    if stated.get("driver"):
        return "postgresql" in stated["driver"]
    question = {"flows": {"name": {"any_": ["\0"]}}, "limit": 1}
    # Prefect's own client would ask again and again, for two minutes.
    with httpx.Client(base_url=held.base_url, headers=held.headers, timeout=10) as plain:
        return plain.post("flows/filter", json=question).status_code >= 500
