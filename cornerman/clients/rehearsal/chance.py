"""Chance without state: every draw is a hash of names, so the order of calls cannot matter."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

_SCALE = float(2**64)


class Chance:
    """Uniform draws that depend on the key and the purpose alone.

    Args:
        key: What the draws belong to, such as the server's seed and a case's text.
    """

    __slots__ = ("_prefix",)

    def __init__(self, *key: object) -> None:
        self._prefix = "\x1f".join(str(part) for part in key)

    def draw(self, *purpose: object) -> float:
        """A number in 0..1 (1 excluded), always the same for the same key and purpose."""
        name = "\x1f".join((self._prefix, *(str(part) for part in purpose)))
        digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest, "big") / _SCALE

    def happens(self, probability: float, *purpose: object) -> bool:
        """True with the given probability in 0..1."""
        return self.draw(*purpose) < probability

    def pick(self, items: Sequence[T], *purpose: object) -> T:
        """One of the items, which must not be empty."""
        return items[int(self.draw(*purpose) * len(items))]

    def weighted(self, items: Sequence[T], weights: Sequence[float], *purpose: object) -> T:
        """One of the items with probability proportional to its weight (sum over 0)."""
        mark = self.draw(*purpose) * sum(weights)
        for item, weight in zip(items, weights, strict=True):
            mark -= weight
            if mark < 0:
                return item
        return items[-1]
