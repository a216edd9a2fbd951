"""What the simulator draws, how long it takes and how it counts tokens: no clock, no state."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
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


@dataclass(frozen=True)
class Timing:
    """Latency of every reply, and at most `jitter_ms` more, by the request's content."""

    latency_ms: float = 20.0
    jitter_ms: float = 0.0

    def delay_seconds(self, digest: str) -> float:
        """The wait before a reply; equal requests wait equally long."""
        extra = self.jitter_ms * Chance("latency").draw(digest) if self.jitter_ms else 0.0
        return (self.latency_ms + extra) / 1000.0


_PIECE = re.compile(r"\w{1,7}|[^\w\s]")

# As chat formats do: each message is framed, and the reply is primed. 4n + 3 stays under the
# 16 per message that the budget's worst case allows.
TOKENS_PER_MESSAGE = 4
TOKENS_PER_REPLY = 3

_CACHED_LENGTH = 20_000


def count_tokens(text: str) -> int:
    """How many tokens a text has."""
    # Prompts repeat over many calls; a huge message is not worth the memory of keeping it.
    return _count_cached(text) if len(text) <= _CACHED_LENGTH else len(_PIECE.findall(text))


@lru_cache(maxsize=2048)
def _count_cached(text: str) -> int:
    return len(_PIECE.findall(text))


def count_prompt_tokens(contents: Iterable[str]) -> int:
    """Tokens of a whole request, the frames of its messages included."""
    return TOKENS_PER_REPLY + sum(TOKENS_PER_MESSAGE + count_tokens(text) for text in contents)


def cut_text(text: str, max_tokens: int | None) -> tuple[str, bool]:
    """The text up to the limit, and whether anything was cut off."""
    if max_tokens is None:
        return text, False
    pieces = list(islice(_PIECE.finditer(text), max_tokens + 1))
    if len(pieces) <= max_tokens:
        return text, False
    return text[: pieces[max_tokens - 1].end()], True


def split_for_stream(text: str) -> list[str]:
    """The text in pieces of about four tokens whose concatenation is the text."""
    ends = [match.end() for match in _PIECE.finditer(text)][3::4]
    starts = [0, *ends]
    pieces = [text[start:end] for start, end in zip(starts, [*ends, len(text)], strict=True)]
    return [piece for piece in pieces if piece]
