"""How the rehearsal agent reads a customer's message: by keywords, clause by clause."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

LABELS = ("refund", "cancel", "delivery", "billing", "login", "bug", "complaint", "other")

_KEYWORDS: dict[str, str] = {
    "refund": r"refund\w*|money back|reimburs\w+|return (?:it|this|them|these|those)\b"
    r"|send (?:it|this|them|these) back|returning (?:it|this|them|these)",
    "cancel": r"cancel\w*|call (?:it |the order )?off|close my account|stop my (?:\w+ )?(?:plan"
    r"|order|subscription|membership)|end my (?:\w+ )?(?:plan|subscription|membership|trial)"
    r"|don't renew|not renew|turn off (?:the )?auto-?renew\w*",
    "delivery": r"deliver\w*|parcels?|packages?|couriers?|shipping|shipment|shipped|tracking"
    r"|has(?:n't| not) (?:arrived|come|turned up)|dispatch\w*|depot|doorstep",
    "billing": r"invoices?|bill(?:s|ed|ing)?\b|charg(?:e|es|ed|ing)\b|payments?|statement|vat"
    r"|direct debit|overcharg\w+|taken from my (?:card|account)",
    "login": r"log ?in\w*|logged out|log(?:ging)? (?:me )?in(?:to)?|sign(?:ing|ed)? (?:me )?in"
    r"|passwords?|locked out|verification code|two-factor|reset link|username",
    "bug": r"crash\w*|freez\w+|frozen|error (?:message|code|page|\d+)|glitch\w*"
    r"|blank (?:screen|page)|white screen|won't load|does nothing|spins? forever|bug",
    "complaint": r"rude\w*|unacceptable|disappoint\w+|terribl[ey]|awful\w*|appalling|complain\w*"
    r"|poor service|disgrace\w*|dreadful|shocking|ashamed|hung up on me|talked down to",
}
_MENTION = re.compile(
    "|".join(rf"(?P<{label}>\b(?:{words}))" for label, words in _KEYWORDS.items()), re.IGNORECASE
)
_NEGATION = re.compile(
    r"(?:\b(?:don't|do not|(?<!could )(?<!can )not|no|never|without|rather than|instead of|isn't"
    r"|is not|doesn't|nothing to do with)\b)"
    r"(?:\s+(?:want|need|asking|after|looking|about|for|to|a|an|my"
    r"|the|any|this|it's|another|problem|question|with|getting|be|about)){0,5}\s*$",
    re.IGNORECASE,
)
_LEAVING = re.compile(
    r"take (?:my|our) (?:business|money|custom)\b|(?:go|going|move|moving|switch|switching"
    r"|change|changing|off) (?:over )?to (?:a |another |your |one of your )?"
    r"(?:competitors?|rivals?|provider|supplier|shop|somebody else|someone else)"
    r"|(?:go|going|shop|shopping|look|looking|order|buy) (?:somewhere else|elsewhere)"
    r"|(?:lose|lost|losing) (?:me|us) as (?:a )?customers?"
    r"|this (?:is|was) (?:the|my|our) last (?:time|order|month)",
    re.IGNORECASE,
)
_PRAISE = re.compile(
    r"\b(?:great|brilliant|wonderful|fantastic|lovely|bravo|congratulations|well done|superb"
    r"|impressive|marvellous|genius|thanks a lot|thank you so much)\b",
    re.IGNORECASE,
)
_BITTER = re.compile(
    r"\b(?:only (?:took|waited|had)|hold music|third time|fourth time|five transfers|for hours"
    r"|(?:two|three|four|six) (?:hours|weeks|calls|transfers|agents)|as useful as|again, of course"
    r"|no reply|ignored|upside down|never answer\w*|nobody|wrong (?:size|one|colour) again)\b",
    re.IGNORECASE,
)
_WRONG_CHARGE = re.compile(
    r"\b(?:charged|billed|debited|paid|payment|charge)\b[^.?!]{0,40}\b(?:twice|two times|double"
    r"|duplicate|wrong amount|too much|never ordered|don't recognise|do not recognise)\b"
    r"|\bovercharged\b|\b(?:double|duplicate|second|wrong|unknown) (?:charge|payment)\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"[.!?;\n]+|,? (?:but|so|and now|although|though)\b|, ")
_WISH = re.compile(
    r"\b(?:please|can (?:you|i|we)|could (?:you|i|we)|i want|we want|i'd like|i would like"
    r"|i'd rather|i need|we need|what i (?:want|need)|how do i|where is|go ahead and|kindly)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Reading:
    """What a message says, before any rule decides.

    Args:
        labels: The topics mentioned and meant, in order, each once.
        denied: Topics that the customer says it is not about, in order.
        wish: The topic of the last clause that asks for something, if any.
    """

    labels: tuple[str, ...]
    denied: tuple[str, ...]
    wish: str | None
    leaving: bool
    sarcastic: bool
    wrong_charge: bool

    @property
    def first(self) -> str:
        """The first topic mentioned."""
        return self.labels[0] if self.labels else "other"


@lru_cache(maxsize=4096)
def read_message(text: str) -> Reading:
    """Read a customer's message."""
    labels: dict[str, None] = {}
    denied: dict[str, None] = {}
    wish: str | None = None
    for clause in _CLAUSE.split(text.replace("’", "'")):
        meant = list[str]()
        for match in _MENTION.finditer(clause):
            negated = (
                _NEGATION.search(clause[max(0, match.start() - 80) : match.start()]) is not None
            )
            (denied.setdefault if negated else meant.append)(match.lastgroup or "other")
        labels.update(dict.fromkeys(meant))
        if meant and (asked := _WISH.search(clause)):
            wish = _topic_after(clause, asked.start()) or meant[0]
    return Reading(
        labels=tuple(labels),
        denied=tuple(denied),
        wish=wish,
        leaving=_LEAVING.search(text) is not None,
        sarcastic=bool(_PRAISE.search(text) and _BITTER.search(text)),
        wrong_charge=_WRONG_CHARGE.search(text) is not None,
    )


def _topic_after(clause: str, start: int) -> str | None:
    match = _MENTION.search(clause, start)
    return match.lastgroup if match else None
