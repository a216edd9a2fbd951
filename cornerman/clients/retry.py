"""When to try again: what a server asked for, or a backoff of our own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from random import Random

FIRST_BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 20.0


def parse_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that a server asked to wait, or None when it named none.

    Args:
        headers: With case-insensitive or lower-case names.
        now: Wall clock in seconds since 1970, for the form that is a date.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None or value is None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def wait_seconds(attempt: int, retry_after: float | None, rng: Random) -> float:
    """Return how long to wait after the given attempt (from 1).

    With a Retry-After at least that, and up to a tenth more, so that many clients that were told
    the same do not come back at once. Otherwise exponential with full jitter, after
    https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/
    """
    if retry_after:
        return retry_after * (1 + rng.random() / 10)
    ceiling = min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** (attempt - 1))
    return rng.uniform(0, ceiling)
