"""Keeps secrets out of errors, logs and rows."""

from __future__ import annotations

import re

_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[^\s\"',;}]+")
# Shorter ones are words of the language rather than secrets; hiding them would garble texts.
_MIN_LENGTH = 8


class Redactor:
    """Replaces known secrets, and whatever follows `Bearer`, by stars."""

    def __init__(self, *secrets: str | None) -> None:
        self._secrets = [secret for secret in secrets if secret]

    def text(self, text: str) -> str:
        """Hide the secrets alone; for a model's answer, which may well say `Bearer`."""
        for secret in self._secrets:
            if len(secret) >= _MIN_LENGTH and secret in text:
                text = text.replace(secret, "***")
        return text

    def error(self, text: str, limit: int = 500) -> str:
        """Hide the secrets of an error's text and shorten it, in this order."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        text = _BEARER.sub(r"\1 ***", text)
        return text if len(text) <= limit else text[: limit - 1] + "…"
