"""The rehearsal endpoint's tokenizer.

A token is a run of up to seven word characters, or one other visible character; white space
costs nothing. English comes to about four characters a token. Every token holds at least one
character, so a text never has more tokens than UTF-8 bytes, which is the worst case that a
budget reserves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import islice

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
