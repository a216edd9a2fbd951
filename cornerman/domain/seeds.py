"""Randomness without hidden state: every stream is named, so a resumed run draws the same."""

from __future__ import annotations

import hashlib
import random


def derived_seed(seed: int, *parts: object) -> int:
    """A seed for one purpose, in 0..2**31-1, the same on every machine and every re-run."""
    name = "/".join(str(part) for part in (seed, *parts))
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) >> 1


def stream(seed: int, *parts: object) -> random.Random:
    """A random stream for one purpose."""
    return random.Random(derived_seed(seed, *parts))
