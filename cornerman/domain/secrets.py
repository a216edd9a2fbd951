"""Secrets that this process knows, kept out of whatever is stored, shown or logged.

Settings register them when they are read; an agent or an evaluator may then return one, or raise
with one in its message, and it still reaches no row, event, log or report.
"""

from __future__ import annotations

import logging
import re
from typing import Any

HIDDEN = "***"
# Shorter ones are words of the language rather than secrets; hiding them would garble texts.
SHORTEST = 8
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[^\s\"',;}]+")

_known: list[str] = []
_plain_record = logging.getLogRecordFactory()


def register_secrets(*secrets: str | None) -> None:
    """Hide these texts from now on; too short ones are left alone."""
    new = {text for text in secrets if text and len(text) >= SHORTEST}
    if new.issubset(_known):
        return
    # The longest first, so that a secret inside another one leaves no rest of it.
    _known[:] = sorted(new.union(_known), key=len, reverse=True)
    logging.setLogRecordFactory(_redacted_record)


def forget_secrets() -> None:
    """Hide nothing any more; for tests that change the environment."""
    _known.clear()
    logging.setLogRecordFactory(_plain_record)


def redact(text: str) -> str:
    """The text with every known secret hidden."""
    for secret in _known:
        if secret in text:
            text = text.replace(secret, HIDDEN)
    return text


def redact_json(value: Any) -> Any:
    """A JSON value with every known secret hidden, in keys too."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {redact(str(key)): redact_json(held) for key, held in value.items()}
    if isinstance(value, (list, tuple)):
        return [redact_json(held) for held in value]
    return value


class Redactor:
    """Replaces known secrets, and whatever follows `Bearer`, by stars."""

    def __init__(self, *secrets: str | None) -> None:
        self._secrets = [secret for secret in secrets if secret]

    def text(self, text: str) -> str:
        """Hide the secrets alone; for a model's answer, which may well say `Bearer`."""
        for secret in self._secrets:
            if len(secret) >= SHORTEST and secret in text:
                text = text.replace(secret, HIDDEN)
        return text

    def error(self, text: str, limit: int = 500) -> str:
        """Hide the secrets of an error's text and shorten it, in this order."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        text = _BEARER.sub(r"\1 ***", text)
        return text if len(text) <= limit else text[: limit - 1] + "…"


def _redacted_record(*args: Any, **kwargs: Any) -> logging.LogRecord:
    record = _plain_record(*args, **kwargs)
    try:
        message = record.getMessage()
    except Exception:  # noqa: BLE001 - a wrong format is for the handler to report
        return record
    if (hidden := redact(message)) != message:
        record.msg, record.args = hidden, ()
    if record.exc_info and record.exc_info[0] is not None:
        # Formatters use a text that is there in place of formatting the exception again.
        text = logging.Formatter().formatException(record.exc_info)
        if (hidden := redact(text)) != text:
            record.exc_text, record.exc_info = hidden, None
    return record
