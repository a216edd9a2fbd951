"""Randomness without hidden state: every stream is named, so a resumed run draws the same.

Sharing a fixed number of slots among those who want some.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping


def derived_seed(seed: int, *parts: object) -> int:
    """A seed for one purpose, in 0..2**31-1, the same on every machine and every re-run."""
    name = "/".join(str(part) for part in (seed, *parts))
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) >> 1


def stream(seed: int, *parts: object) -> random.Random:
    """A random stream for one purpose."""
    return random.Random(derived_seed(seed, *parts))


def fair_shares(total: int, demands: Mapping[str, int]) -> dict[str, int]:
    """Divide slots so that nobody gets more than they want while another goes short (max-min).

    Args:
        total: Slots there are.
        demands: Wanted slots by name. Names decide who gets what cannot be divided.

    Returns:
        Slots by name; their sum never passes `total`.
    """
    shares = dict.fromkeys(sorted(demands), 0)
    left = total
    while left > 0:
        short = [name for name in shares if shares[name] < demands[name]]
        if not short:
            break
        for name in short[:left]:
            shares[name] += 1
        left -= min(left, len(short))
    return shares
