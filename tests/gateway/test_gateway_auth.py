"""Who is let in, how, and what the others are told."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import httpx
import pytest

from cornerman.gateway.middleware import FAILURES_PER_MINUTE, FailureLimiter
from cornerman.gateway.state import SESSION_SECONDS, Sessions, same_secret
from cornerman.storage.database import Database
from tests.gateway.serving import API, API_TOKEN, CRON, CRON_SECRET, Served

API_PATHS = [
    "/api/kill-switch",
    "/api/runs",
    "/api/runs/x",
    "/api/runs/x/events",
    "/api/workflows/x/agentensor/checkpoints",
    "/api/monitor/summary",
    "/api/battles/x",
    "/admin/training-monitor",
    "/metrics",
    "/openapi.json",
]
CRON_PATHS = ["/api/cron/train", "/api/cron/scout-scan"]


@pytest.mark.parametrize("path", API_PATHS + CRON_PATHS)
def test_every_door_is_closed_without_its_secret(gateway: Served, path: str) -> None:
    wrong_door = API if path in CRON_PATHS else CRON
    for headers in ({}, wrong_door, {"Authorization": "Bearer"}, {"Authorization": "Basic eA=="}):
        answer = gateway.open.get(path, headers=headers)
        assert answer.status_code == 401, headers
        assert set(answer.json()) >= {"error", "message"}
        assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("name", ["CRON_SECRET", "API_TOKEN"])
def test_a_missing_secret_closes_the_door_and_says_which(
    serve: Callable[..., Served], sqlite_db: Database, name: str
) -> None:
    gateway = serve(sqlite_db, **{name: ""})
    path = "/api/cron/train" if name == "CRON_SECRET" else "/api/runs"
    title = "Cron secret not configured" if name == "CRON_SECRET" else "API token not configured"
    for headers in ({}, {"Authorization": "Bearer"}, API, CRON):
        answer = gateway.open.get(path, headers=headers)
        assert answer.status_code == 500
        assert answer.json()["error"] == title and name in answer.json()["message"]


def test_only_health_is_open_to_all(gateway: Served) -> None:
    answer = gateway.open.get("/healthz")
    assert answer.status_code == 200
    assert answer.json() | {"version": ""} == {
        "status": "ok",
        "database": "ok",
        "prefect": "embedded",
        "version": "",
    }


def test_insecure_local_opens_loopback_and_nothing_else(
    serve: Callable[..., Served], sqlite_db: Database
) -> None:
    gateway = serve(sqlite_db, CORNERMAN_INSECURE_LOCAL="true", API_TOKEN="", CRON_SECRET="")
    assert gateway.open.get("/api/runs").status_code == 200
    assert gateway.open.get("/admin/training-monitor").status_code == 200
    for headers in (
        {"X-Forwarded-For": "10.1.2.3"},  # a proxy in between
        {"Host": "evil.example"},  # a page that reaches loopback under its own name
    ):
        assert gateway.open.get("/api/runs", headers=headers).status_code == 500
    foreign = gateway.open.put(
        "/api/kill-switch", json={"active": True}, headers={"Origin": "https://evil.example"}
    )
    assert foreign.status_code == 403
    gateway.server.config.app.state.gateway.bound_to_loopback = False  # type: ignore[union-attr]
    assert gateway.open.get("/api/runs").status_code == 500


def test_wrong_secrets_are_limited_and_right_ones_are_not_locked_out(
    serve: Callable[..., Served], sqlite_db: Database
) -> None:
    gateway = serve(sqlite_db)
    for _ in range(FAILURES_PER_MINUTE):
        answer = gateway.open.get("/api/runs", headers={"Authorization": "Bearer guess"})
        assert answer.status_code == 401
    limited = gateway.open.get("/api/runs", headers={"Authorization": "Bearer guess"})
    assert limited.status_code == 429
    assert 0 < int(limited.headers["retry-after"]) <= 60
    # Not even the right one is looked at, or guessing would go on unseen.
    assert gateway.open.get("/api/runs", headers=API).status_code == 429
    assert gateway.open.get("/api/runs").status_code == 401


def test_an_address_that_knew_the_secret_keeps_access_whoever_guesses_beside_it() -> None:
    now = [0.0]
    limiter = FailureLimiter(lambda: now[0])
    limiter.succeeded("a")
    for address in ("a", "b"):
        for _ in range(FAILURES_PER_MINUTE):
            limiter.failed(address)
    assert limiter.may_try("a") and not limiter.may_try("b")
    now[0] = 61.0
    assert limiter.may_try("b") and limiter.wait_seconds("b") == 0


def test_the_limiter_forgets_the_oldest_of_many_addresses() -> None:
    limiter = FailureLimiter()
    for n in range(10_050):
        limiter.failed(f"10.0.{n}")
        limiter.succeeded(f"10.0.{n}")
    held = vars(limiter)
    assert len(held["_failures"]) == len(held["_trusted"]) == 10_000


@pytest.mark.parametrize("given", ["", "x", API_TOKEN[:-1], API_TOKEN + "x", "é\ud800"])
def test_secrets_are_compared_whole(given: str) -> None:
    assert not same_secret(given, API_TOKEN)
    assert same_secret(API_TOKEN, API_TOKEN)


def test_a_session_ends_by_time_by_another_token_and_by_any_change() -> None:
    now = [1_000.0]
    sessions = Sessions("token", lambda: now[0])
    cookie = sessions.create()
    assert sessions.is_valid(cookie)
    assert not Sessions("another", lambda: now[0]).is_valid(cookie)
    later = cookie.replace(str(1_000 + SESSION_SECONDS), str(9_000 + SESSION_SECONDS))
    assert (
        not sessions.is_valid(later) and not sessions.is_valid("") and not sessions.is_valid("..")
    )
    now[0] += SESSION_SECONDS
    assert not sessions.is_valid(cookie)


def _sign_in(gateway: Served) -> httpx.Client:
    browser = httpx.Client(base_url=gateway.url, headers={"Accept": "text/html"})
    answer = browser.post("/admin/login", data={"token": API_TOKEN})
    assert answer.status_code == 303 and answer.headers["location"] == "/admin/training-monitor"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and "path=/" in cookie
    assert API_TOKEN not in cookie
    return browser


def test_the_monitor_shows_a_door_and_then_the_page(gateway: Served) -> None:
    headers = {"Accept": "text/html"}
    stranger = gateway.open.get("/admin/training-monitor", headers=headers)
    assert (stranger.status_code, stranger.headers["location"]) == (303, "/admin/login")
    assert "API token" in gateway.open.get("/admin/login").text
    with contextlib.closing(_sign_in(gateway)) as browser:
        page = browser.get("/admin/training-monitor")
        assert page.status_code == 200 and "default-src 'none'" in str(page.headers)
        assert "'unsafe-inline'" not in page.headers["content-security-policy"]
        assert browser.get("/api/monitor/summary").status_code == 200
        assert API_TOKEN not in page.text and CRON_SECRET not in page.text


def test_changes_by_cookie_need_the_pages_token_and_origin(gateway: Served) -> None:
    with contextlib.closing(_sign_in(gateway)) as browser:
        token = gateway.server.config.app.state.gateway.sessions.csrf_token(  # type: ignore[union-attr]
            browser.cookies["cornerman_session"]
        )
        assert token in browser.get("/admin/training-monitor").text
        change = {"active": True, "reason": "test"}
        assert browser.put("/api/kill-switch", json=change).status_code == 403
        foreign = {"X-CSRF-Token": token, "Origin": "https://evil.example"}
        assert browser.put("/api/kill-switch", json=change, headers=foreign).status_code == 403
        own = {"X-CSRF-Token": token, "Origin": gateway.url}
        assert browser.put("/api/kill-switch", json=change, headers=own).json()["active"] is True


def test_signing_out_ends_the_session_of_this_browser(gateway: Served) -> None:
    with contextlib.closing(_sign_in(gateway)) as browser:
        assert browser.post("/admin/logout").status_code == 403
        cookie = browser.cookies["cornerman_session"]
        state = gateway.server.config.app.state.gateway  # type: ignore[union-attr]
        form = {"csrf_token": state.sessions.csrf_token(cookie)}
        assert browser.post("/admin/logout", data=form).status_code == 303
        assert browser.get("/api/runs").status_code == 401


def test_the_door_refuses_wrong_tokens_and_other_sites(gateway: Served) -> None:
    wrong = gateway.open.post("/admin/login", data={"token": "<script>"})
    assert wrong.status_code == 401 and "<script>" not in wrong.text
    assert "set-cookie" not in wrong.headers
    foreign = {"Origin": "https://evil.example"}
    answer = gateway.open.post("/admin/login", data={"token": API_TOKEN}, headers=foreign)
    assert answer.status_code == 403
    by_json = gateway.open.post("/admin/login", json={"token": API_TOKEN})
    assert by_json.json() == {"success": True} and "cornerman_session" in by_json.cookies
