"""The monitor's page, its files and its door."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from cornerman.gateway.auth import (
    authenticate,
    bearer_token,
    check_secret,
    is_loopback,
    is_open,
    require_own_origin,
)
from cornerman.gateway.errors import GatewayError, error_response
from cornerman.gateway.monitor import (
    CONTENT_SECURITY_POLICY,
    render_login,
    render_page,
    static_files,
    static_version,
)
from cornerman.gateway.state import COOKIE, SESSION_SECONDS, Gateway, GatewayDep, same_secret
from cornerman.settings import served_prefect

router = APIRouter(prefix="/admin", tags=["admin"], include_in_schema=False)
front = APIRouter()

PAGE = "/admin/training-monitor"
DOOR = "/admin/login"
_FOR_EVER = "public, max-age=31536000, immutable"


def _html(text: str, status: int = 200) -> HTMLResponse:
    # A page's own forms send its address as their origin only when it may say where it is.
    headers = {
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        "Referrer-Policy": "same-origin",
    }
    return HTMLResponse(text, status_code=status, headers=headers)


def _refusal(request: Request, gateway: Gateway) -> Response | None:
    """What a browser without a session gets in place of a page; None: it may see the page.

    Raises:
        GatewayError: Whoever asks wants no page.
    """
    try:
        authenticate(request, gateway, "api", bearer_token(request))
    except GatewayError as error:
        wants_page = "text/html" in request.headers.get("accept", "")
        if wants_page and error.status == 401:
            return RedirectResponse(DOOR, 303)
        if wants_page and error.status == 500:
            return _html(render_login(is_configured=False), 500)
        raise
    return None


def _prefect_pages(gateway: Gateway) -> str | None:
    """Where Prefect's own pages are, with the key where it is ours; blocks on a small file."""
    address = gateway.settings.prefect_api_url
    if address is not None:
        return address.removesuffix("/api")
    served = served_prefect(gateway.settings.home)
    return None if served is None else served.door


@router.get("/training-monitor")
async def page(request: Request, gateway: GatewayDep, workflow: str = "") -> Response:
    """The live page, or its door."""
    if (refusal := _refusal(request, gateway)) is not None:
        return refusal
    cookie = request.cookies.get(COOKIE, "")
    signed_in = bool(cookie) and not is_open(request, gateway)
    token = gateway.sessions.csrf_token(cookie) if signed_in else ""
    has_prefect = await asyncio.to_thread(_prefect_pages, gateway) is not None
    text = render_page(
        csrf_token=token,
        workflow=workflow[:128],
        can_sign_out=signed_in,
        has_prefect=has_prefect,
    )
    return _html(text)


@router.get("/prefect")
async def prefect(request: Request, gateway: GatewayDep) -> Response:
    """Prefect's own pages, signed in where `cornerman serve` runs them."""
    if (refusal := _refusal(request, gateway)) is not None:
        return refusal
    target = await asyncio.to_thread(_prefect_pages, gateway)
    if target is None:
        raise GatewayError(404, "Not found", "No Prefect server with pages runs beside it.")
    headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return RedirectResponse(target, 303, headers=headers)


@front.get("/", include_in_schema=False)
async def front_door() -> Response:
    """Whoever types the bare address wants the page."""
    return RedirectResponse(PAGE, 303)


@router.get("/login")
async def door(gateway: GatewayDep) -> Response:
    """The page that asks for the API token."""
    return _html(render_login(is_configured=gateway.settings.api_token is not None))


@router.post("/login")
async def login(request: Request, gateway: GatewayDep) -> Response:
    """Exchange API_TOKEN for a session; from the form, or as JSON `{"token"}`."""
    require_own_origin(request)
    as_form = "json" not in request.headers.get("content-type", "")
    try:
        _check(request, gateway, await _field(request, "token"))
    except GatewayError as error:
        if as_form and error.status in (401, 429, 500):
            text = render_login(error=error.message, is_configured=error.status != 500)
            answer = _html(text, error.status)
            answer.headers.update(error.headers)
            return answer
        return error_response(error)
    answer = RedirectResponse(PAGE, 303) if as_form else JSONResponse({"success": True})
    _set_cookie(answer, request, gateway.sessions.create(), SESSION_SECONDS)
    return answer


@router.post("/logout")
async def logout(request: Request, gateway: GatewayDep) -> Response:
    """End this browser's session."""
    require_own_origin(request)
    cookie = request.cookies.get(COOKIE, "")
    given = request.headers.get("x-csrf-token") or await _field(request, "csrf_token")
    if cookie and not same_secret(given, gateway.sessions.csrf_token(cookie)):
        raise GatewayError(
            403, "Forbidden", "The form is from another session; load the page again."
        )
    answer = RedirectResponse(PAGE, 303)
    _set_cookie(answer, request, "", 0)
    return answer


@router.get("/static/{version}/{name:path}")
async def static(version: str, name: str) -> Response:
    """One of the page's files; only those that it has can be asked for."""
    file = static_files().get(name)
    if file is None or version != static_version():
        raise GatewayError(404, "Not found", "There is no such file.")
    headers = {"Cache-Control": _FOR_EVER}
    return Response(file.content, media_type=file.media_type, headers=headers)


def _check(request: Request, gateway: Gateway, given: str) -> None:
    expected = gateway.settings.api_token
    if expected is None:
        # Says how to set it.
        authenticate(request, gateway, "api", None)
        return
    check_secret(request, gateway, "api", given, expected.get_secret_value())


async def _field(request: Request, name: str) -> str:
    kind = request.headers.get("content-type", "")
    if "json" in kind:
        try:
            body: Any = await request.json()
        except ValueError:
            return ""
        return str(body.get(name, "")) if isinstance(body, dict) else ""
    async with request.form(max_files=0, max_fields=10) as form:
        return str(form.get(name) or "")


def _set_cookie(answer: Response, request: Request, value: str, seconds: int) -> None:
    answer.set_cookie(
        COOKIE,
        value,
        max_age=seconds,
        path="/",
        httponly=True,
        samesite="strict",
        # Browsers keep no Secure cookie from a plain address, except their own machine's.
        secure=not is_loopback(request.url.hostname or ""),
    )
