"""The process of a Prefect server that `cornerman serve` started: API, pages and all services.

`python -m cornerman.deployments.prefect_server PORT`; Prefect's own variables name the database
and the key that its API asks for. Its pages ask for that key too; the gateway, which knows it,
sends a browser to a page here that gives it to them.
"""

from __future__ import annotations

import base64
import hashlib
import sys
from typing import Any

import uvicorn

from cornerman.deployments.supervise import end_with_parent
from cornerman.flows.plumbing.patient import Message, Receive, Send, prefect_app
from cornerman.settings import SIGN_IN

_GOODBYE_SECONDS = 2

# Prefect's pages keep what was typed into their own door under this name.
_SCRIPT = "localStorage.setItem('prefect-password', location.hash.slice(1));location.replace('/');"
_DIGEST = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
_PAGE = f"<!doctype html><title>Prefect</title><script>{_SCRIPT}</script>".encode()
_HEADERS = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": f"default-src 'none'; script-src 'sha256-{_DIGEST}'",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
}


def make_app() -> Any:
    """Prefect's own app, with the page that signs a browser in."""
    app = prefect_app()

    async def with_sign_in(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != SIGN_IN:
            await app(scope, receive, send)
            return
        headers = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": _PAGE})

    return with_sign_in


def main() -> None:
    """Serve Prefect on loopback until told to stop."""
    config = uvicorn.Config(
        "cornerman.deployments.prefect_server:make_app",
        factory=True,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="warning",
        timeout_keep_alive=5,
        timeout_graceful_shutdown=_GOODBYE_SECONDS,
    )
    server = uvicorn.Server(config)

    def stop() -> None:
        server.should_exit = True

    end_with_parent(stop)
    server.run()


if __name__ == "__main__":
    main()
