"""How a side takes back an agreement or leaves the talks."""

from __future__ import annotations

import re

from cornerman.domain.phrases import clause_prices, clauses, refuses

_RETRACTING = re.compile(
    r"chang(?:ed|ing) my mind|\bback(?:ing)? out\b|deal(?:'s| is) off|^no deal\b"
    r"|call(?:ing)? it off|take (?:that|it) back|(?:never|did(?:n't| not)) agreed?\b"
    r"|don't have a deal|withdraw",
    re.IGNORECASE,
)
_SECOND_THOUGHT = re.compile(r"^(?:actually|wait|hold on|on second thought)", re.IGNORECASE)
_LEAVING = re.compile(
    r"\[\s*walk(?:ing|s)?[ _-]?away\s*\]|\bi(?:'m| am) walking(?: away| out)\b"
    r"|\bi(?:'ll| will|(?:'ll| will)? have to|'m going to| am going to|'m gonna| must)"
    r" (?:just )?(?:walk away|walk out|pass(?=\s*(?:$|[.!,]|on (?:it|this|that)\s*(?:$|[.!]))))"
    r"|\bi(?:'m| am) out\b(?! of| for| here)"
    r"|\b(?:i'm|i am|we're|we are) done (?:here|negotiating|talking|with this)"
    r"|\b(?:deal(?:'s| is) off|forget it|this conversation is over|let's end this here)\b"
    r"|\bi(?:'ll| will|'m going to) (?:look|shop|go|try|take my (?:business|money)) "
    r"(?:somewhere else|elsewhere)\b|\bi(?:'ll| will) find (?:another|someone else|a different)\b"
    r"|\b(?:no longer|not) interested(?: any ?more)?"
    r"(?=\s*(?:$|[.!,]|in (?:this|it|buying|selling)))",
    re.IGNORECASE,
)
_THREAT = re.compile(
    r"\b(?:if|unless|or|otherwise|before|until|might|could|would|ready to|willing to)\b"
    r"|(?:\bnot|n't|never|without)\s+(?:\w+\s+)?walk",
    re.IGNORECASE,
)


def retracts(text: str) -> bool:
    """Whether a turn undoes an agreement made earlier."""
    return walks_away(text) or any(
        _RETRACTING.search(c) or (_SECOND_THOUGHT.search(c) and (clause_prices(c) or refuses(c)))
        for c in clauses(text)
    )


def walks_away(text: str) -> bool:
    """Whether a turn ends the talks. A threat to leave ("or I'll walk away") does not."""
    return any(
        _LEAVING.search(c) and not c.endswith("?") and not _THREAT.search(c) for c in clauses(text)
    )
