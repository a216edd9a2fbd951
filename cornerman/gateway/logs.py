"""Structured logs: one JSON object a line, with the request, run and batch; secrets taken out."""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO, cast

import structlog
from pydantic import SecretStr

from cornerman.clients.redaction import Redactor
from cornerman.domain.json_values import looks_secret
from cornerman.settings import Settings


def set_up_logs(settings: Settings, stream: TextIO | None = None) -> None:
    """Send every logger's lines to `stream` (stderr) as JSON."""
    redact = _Redaction(settings)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        # Their own handlers would print each line a second time, and a query may hold a token.
        logger = logging.getLogger(name)
        logger.handlers[:] = []
        logger.propagate = name != "uvicorn.access"
    logging.getLogger("httpx").setLevel(logging.WARNING)


class _Redaction:
    """A processor that stars out the settings' secrets, and values whose name says secret."""

    def __init__(self, settings: Settings) -> None:
        held = (getattr(settings, name) for name in type(settings).model_fields)
        secrets = [value.get_secret_value() for value in held if isinstance(value, SecretStr)]
        self._redactor = Redactor(*secrets)

    def __call__(self, _logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        return {name: self._clean(name, value) for name, value in event.items()}

    def _clean(self, name: str, value: Any) -> Any:
        if name.startswith("_"):
            return value  # structlog's own
        if looks_secret(name) and value:
            return "***"
        if isinstance(value, str):
            return self._redactor.error(value, limit=20_000)
        if isinstance(value, dict):
            return {k: self._clean(str(k), v) for k, v in cast("dict[Any, Any]", value).items()}
        if isinstance(value, (list, tuple)):
            return [self._clean("", item) for item in cast("list[Any]", value)]
        return value
