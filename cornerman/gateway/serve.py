"""Running the gateway: `cornerman serve`."""

from __future__ import annotations

import asyncio
from types import FrameType

import uvicorn

from cornerman.domain.heap import heap_at_rest
from cornerman.gateway.app import create_app
from cornerman.gateway.auth import is_loopback
from cornerman.gateway.middleware import set_up_logs
from cornerman.runner.launches import runner_kept_ready
from cornerman.settings import Settings, get_settings

# A training request's cases come in one message.
LARGEST_MESSAGE = 16_000_000
# A slow reader answers pings only once it has read what came before them.
_PING_TIMEOUT_SECONDS = 120.0
_GOODBYE_SECONDS = 5


class GatewayServer(uvicorn.Server):
    """Ends live streams when told to stop; they would hold the end up otherwise."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        app = getattr(self.config, "gateway_app", None)
        if app is not None and hasattr(app.state, "gateway"):
            app.state.gateway.hub.close()


def make_server(settings: Settings, host: str, port: int) -> uvicorn.Server:
    """A server that is ready to `run` or to be awaited as `serve`."""
    app = create_app(settings, bound_to_loopback=is_loopback(host))
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        # The caller's address must be the real one; headers are for anyone to set.
        proxy_headers=False,
        server_header=False,
        date_header=True,
        ws_max_size=LARGEST_MESSAGE,
        ws_ping_interval=20.0,
        ws_ping_timeout=_PING_TIMEOUT_SECONDS,
        # Events of one run go to many readers; compressing each copy would cost a core.
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=_GOODBYE_SECONDS,
    )
    config.gateway_app = app  # pyright: ignore[reportAttributeAccessIssue]
    return GatewayServer(config)


def serve(host: str = "127.0.0.1", port: int = 8000, *, settings: Settings | None = None) -> None:
    """Serve until interrupted.

    Raises:
        SettingsError: The settings do not hold what they must.
        StorageError: The database cannot be used.
    """
    settings = settings or get_settings()
    set_up_logs(settings)
    server = make_server(settings, host, port)
    with heap_at_rest(), runner_kept_ready(settings):
        asyncio.run(server.serve())
