"""FastAPI: websocket, REST, cron and the monitor page. `create_app` makes it, `serve` runs it."""

from cornerman.gateway.app import create_app
from cornerman.gateway.serve import serve

__all__ = ["create_app", "serve"]
