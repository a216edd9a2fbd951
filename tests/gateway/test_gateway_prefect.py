"""The way from the gateway to Prefect's own pages."""

from __future__ import annotations

import json
from collections.abc import Callable

from cornerman.settings import keep_key
from cornerman.storage.database import Database
from tests.gateway.serving import API, Served

PAGE = "/admin/training-monitor"


def test_it_is_closed_to_strangers_and_leads_nowhere_without_a_server(gateway: Served) -> None:
    assert gateway.open.get("/admin/prefect").status_code == 401
    as_page = gateway.open.get("/admin/prefect", headers={"accept": "text/html"})
    assert (as_page.status_code, as_page.headers["location"]) == (303, "/admin/login")
    assert gateway.http.get("/admin/prefect").status_code == 404
    assert "/admin/prefect" not in gateway.http.get(PAGE).text


def test_it_carries_the_key_where_no_browser_sends_it_on(gateway: Served) -> None:
    home = gateway.settings.home
    home.mkdir(exist_ok=True)
    (home / "serve.json").write_text(json.dumps({"prefect": "http://127.0.0.1:4200"}))
    key = keep_key(home)
    answer = gateway.http.get("/admin/prefect", headers=API)
    address, _, word = answer.headers["location"].partition("#")
    assert (answer.status_code, address) == (303, "http://127.0.0.1:4200/cornerman/sign-in")
    assert word and answer.headers["cache-control"] == "no-store"
    page = gateway.http.get(PAGE).text
    assert "/admin/prefect" in page
    assert key not in page and word not in page


def test_a_server_of_ones_own_is_named_as_it_is(
    serve: Callable[..., Served], sqlite_db: Database
) -> None:
    gateway = serve(sqlite_db, PREFECT_API_URL="http://127.0.0.1:9/api")
    answer = gateway.http.get("/admin/prefect")
    assert answer.headers["location"] == "http://127.0.0.1:9"
