"""Prices as people write them.

How a side takes back an agreement or leaves the talks.

What a clause of a negotiation does: offer, accept, commit or refuse.

Plain patterns and no model: the same transcript always gives the same outcome, and a side cannot
talk the outcome into something else. Where a clause could be read two ways it counts as nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBER = r"\d{1,3}(?:,\d{3}){1,4}(?:\.\d{1,2})?(?!\d)|\d{1,12}(?:\.\d{1,2})?(?![\d,.]{0,20}\d)"
# 1.200,50 and 1 200,50 are read so only beside a currency of those who write so.
_CONTINENTAL = (
    r"\d{1,3}(?:\.\d{3}){1,4}(?:,\d{1,2})?(?!\d)"
    r"|\d{1,3}(?:[ \u00a0\u202f]\d{3}){1,4}(?:,\d{1,2})?(?!\d)|\d{1,12},\d{1,2}(?!\d)"
)
_SIGNS = "$£€¥₽₹₩₺₴₫₱₪₦฿"
_CODES = (
    "USD|EUR|GBP|JPY|CNY|RMB|CHF|SEK|NOK|DKK|PLN|CZK|HUF|RON|INR|KRW|BRL|TRY|RUB|UAH|MXN|CAD|AUD"
    "|NZD|ZAR|SGD|HKD|THB|VND|IDR|PHP"
)
_WORDS = (
    r"dollars?\b|bucks\b|euros?\b|pounds?\b|yen\b|yuan\b|rupees?\b|won\b|francs?\b|Franken\b"
    r"|dólares\b|pesos?\b|dollari\b"
)
_CONTINENTAL_WORDS = (
    r"zł(?:otych|oty)?\b|kr(?:onor|oner)?\b|Kč|Ft\b|reais\b|liras?\b|TL\b|руб(?:лей|ля|\.)?"
    r"|грн\b|元|円|원"
)
_PRICE = re.compile(
    rf"""
    (?:[€₽₺₫₴]|R\$)\s?(?P<continental>{_CONTINENTAL})
    | (?:US|R|A|C|NZ|HK|S|MX)?[{_SIGNS}]\s?(?P<number>{_NUMBER})\s?(?P<kilo>k\b)?
    | \b(?:{_CODES})\s?(?P<number2>{_NUMBER})\s?(?P<kilo2>k\b)?
    | (?<![A-Za-z0-9_.,{_SIGNS}-])(?P<number3>{_NUMBER})\s?(?P<kilo3>k)?\s?
      (?:{_WORDS}|(?:{_CODES})\b|{_CONTINENTAL_WORDS}|[{_SIGNS}](?!\s?\d))
    | (?<![A-Za-z0-9_.,])(?P<number4>{_CONTINENTAL})\s?
      (?:[€₽₺₫₴]|{_CONTINENTAL_WORDS}|(?:EUR|PLN|SEK|NOK|DKK|CZK)\b)
    """,
    re.IGNORECASE | re.VERBOSE,
)


@dataclass(frozen=True)
class PriceMention:
    """A price in a text: its value and where it stands."""

    value: float
    start: int
    end: int


_GROUPING = re.compile(r"[.\s]")


def parse_prices(text: str) -> list[PriceMention]:
    """Find the prices in a text, in order.

    A price needs a currency beside it ("$1,200.50", "1200 dollars", "250 USD", "5k bucks",
    "1.200,50 €", "4 500 ₽", "350 zł", "¥35000", "300元"), so that sizes, counts and years are
    none. Amounts of zero are left out.
    """
    return [
        PriceMention(value, found.start(), found.end())
        for found in _PRICE.finditer(text)
        if (value := _value(found)) > 0
    ]


def _value(found: re.Match[str]) -> float:
    groups = found.groupdict()
    continental = groups["continental"] or groups["number4"]
    if continental:
        return float(_GROUPING.sub("", continental).replace(",", "."))
    number = groups["number"] or groups["number2"] or groups["number3"]
    kilo = groups["kilo"] or groups["kilo2"] or groups["kilo3"]
    return float(number.replace(",", "")) * (1000 if kilo else 1)


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


_READ_CHARS = 8_000
_CLAUSE_CHARS = 600
_SPACES = re.compile(r"[^\S\n]+")
# A speaker may turn at "but": what follows can take back what stood before it.
_CLAUSE_END = re.compile(
    r"(?<=[.!?;])\s+|\n+|\s+[-–—]+\s+|\s?—\s?|,?\s+(?=(?:but|however|though|yet)\b)",
    re.IGNORECASE,
)
_FAREWELL = re.compile(r",?\s*(?:just |please )?let me know (?:if|when|what|how)\b[^.!?\n]*", re.I)
_REFUSING = re.compile(
    r"^no\b(?! problem| worries)|\bno (?:deal|way|thanks?|longer|chance|sale|can do|go\b)|n't\b"
    r"|\b(?:not|never|nor|neither|cannot|refuse|reject|decline|nowhere near|out of (?:my|the)"
    r"|insult\w*|too (?:much|high|low|little|steep|expensive|cheap))\b"
    r"|\b(?:more|less|lower|higher|better) than\b"
    r"|\b(?:below|above|under|over|beyond) [$£€¥₽₹₩₺₴₫₱₪₦฿\d]",
    re.IGNORECASE,
)
# "I can't go below $50" names the last price that its speaker would still take.
_LIMIT = re.compile(
    r"(?:\bnot|\bnothing|\bno|n't|\bcannot|\bnever)\b[^.!?]{0,25}?"
    r"\b(?:lower|less|below|under|more|higher|above|over)\b(?: than)?\s+[$£€¥₽₹₩₺₴₫₱₪₦฿\d]",
    re.IGNORECASE,
)
# Amounts other than what the thing itself would change hands for.
_OTHER_AMOUNT = re.compile(
    r"\b(?:you(?:'re| are|r)? (?:ask|offer)\w*|you want\w*|your price|was asking|list\w*"
    r"|retail\w*|original\w*|worth|valued|paid|bought|cost me|costs|deposit|fee|tip|tax|save"
    r"|savings?|discount|extra|elsewhere|another|neighbou?r\w*|compet\w+|online|store|shop"
    r"|someone|somebody|budget|usually|normally|similar|off|target"
    r"|(?:for|of) (?:the )?(?:delivery|shipping)"
    r"|(?:delivery|shipping) (?:fee|cost|charge|is|for|would)"
    r"|other (?:sellers?|buyers?|ones?|listings?|offers?|places?|items?))\b",
    re.IGNORECASE,
)
_CONDITIONAL = re.compile(
    r"\b(?:if|unless|only if|except|provided|assuming|as long as|once|until|maybe|perhaps|might"
    r"|could you|can you|would you|will you|could we|can we|think (?:about|it over|on)|let me think"
    r"|consider(?! it)|almost|nearly|close to|try|want|need|hope|hoping|wish)\b",
    re.IGNORECASE,
)
_ACCEPTING = re.compile(
    r"^(?:(?:ok(?:ay)?|al+ ?right|fine|great|perfect|yes|yeah|sure|sounds good|well|wonderful"
    r"|excellent|you know what|fair enough|good)[,.! ]+)*"
    r"(?:(?:it's a |we have a |that's a |done )?"
    r"deal(?=\s*(?:$|[.!,:@-]|at\b|for\b|it is|then|done))"
    r"|agreed(?=\s*(?:$|[.!,:]|at\b|on\b|to\b|then))|accepted\b|sold(?=\s*(?:$|[.!,]|at\b|for\b)))"
    r"|\b(?:you(?:'ve| have)? got (?:yourself )?a deal|you have (?:yourself )?a deal"
    r"|we(?:'ve| have) (?:got )?a deal|it's a deal|consider it sold"
    r"|i(?:'ll| will|'d (?:be happy|like) to| can| am happy to|'m happy to| do)? ?"
    r"(?:gladly |happily )?"
    r"(?:accept|agree to|take you up on)\b"
    r"|i(?:'ll| will) take (?:it|that|your offer|the deal|them)\b"
    r"|let's (?:do it|do that|shake|close (?:it|this|the deal))\b"
    r"|(?:that|this|it|your offer|your price|[\d.]*\d) works(?: for me)?\b|works for me)",
    re.IGNORECASE,
)
# With the other side's price beside it, such a clause takes that price.
_COMMITTING = re.compile(
    r"^(?:ok(?:ay)?|fine|al+ ?right|yes|sure|great|done),? [$£€¥₽₹₩₺₴₫₱₪₦฿]?[\d,.]+"
    r"(?: dollars)?[.!]*$"
    r"|\b(?:i (?:can|will|could) (?:do|pay|buy|take|go (?:with|for)|give|live with|work with|sell)"
    r"|i'll (?:do|pay|buy|take|go (?:with|for|to)|give|sell|let you have)|i'd be (?:happy|fine|ok)"
    r"|let's (?:do|say|go with|call it|make it|settle|agree|meet)|settle (?:on|at|for)"
    r"|(?:happy|fine|okay?|good|comfortable) with|agree(?:d)? (?:on|to|at|with)|shake on"
    r"|meet you at|it is|it's yours|is yours|you can have it|is (?:fine|fair|good|okay|acceptable)"
    r"|works|deal)\b",
    re.IGNORECASE,
)
_CONCEDING = re.compile(
    r"^(?:but|however|though|yet)\b|\b(?:can do|could do|come (?:down|up)|go (?:down|up|as)"
    r"|how about|what about|final|best|meet|split|instead|lower it|drop|make it|deal)\b",
    re.IGNORECASE,
)
_TAKING_BACK = re.compile(
    r"^(?:but|however|though|yet|unless|provided|as long as|only if|if|assuming|except)\b"
    r"(?=.*(?:\bif\b|unless|provided|only|as long|except|need|want|require|must|throw in|includ"
    r"|deliver|add\b|[$£€¥₽₹₩₺₴₫₱₪₦฿]|n't|\bnot\b))",
    re.IGNORECASE,
)
_POLITE_IF = re.compile(r"\bif\b.*\b(?:question|anything|need|problem|change)", re.IGNORECASE)
_YES = (
    r"(?:ok(?:ay)?|al+ ?right|fine|great|perfect|yes|yeah|yep|sure|absolutely|wonderful|excellent"
    r"|certainly|of course|done|deal|sounds (?:good|great|fair)(?: to me)?|that's (?:fine|fair)"
    r"|let's do (?:it|that)|thanks?|thank you|we do|it's a deal|you have a deal)"
)
_WEAK_ASSENT = re.compile(rf"^{_YES}(?:[,.! ]+{_YES})*[.! ]*$", re.IGNORECASE)
_PROPOSAL = re.compile(
    r"\bdeal\s*(?:at|for|:)?\s*[$£€¥₽₹₩₺₴₫₱₪₦฿\d]"
    r"|(?:\bdeal|\bagreed|shake on it|sound (?:good|fair))\W*\?"
    r"|(?:have|got) (?:ourselves )?a deal\b[^.!]*\?"
    r"|\b(?:how (?:about|does)|what about|would you (?:take|accept|do)|(?:can|could) you do)\b"
    r".*\d.*\?",
    re.IGNORECASE,
)


def clauses(text: str) -> list[str]:
    """Cut a text into the clauses that agree or refuse on their own."""
    # A megabyte of "if if if" must not keep the patterns busy: what is far down counts no more.
    plain = _SPACES.sub(" ", text[:_READ_CHARS])
    # A typographic apostrophe would hide "can't" from the patterns; stars are only emphasis.
    plain = _FAREWELL.sub("", plain.replace("’", "'").replace("*", ""))
    parts = (part.strip()[:_CLAUSE_CHARS] for part in _CLAUSE_END.split(plain) if part)
    return [part for part in parts if part]


def clause_prices(clause: str) -> set[float]:
    """The distinct prices in a clause."""
    return {mention.value for mention in parse_prices(clause)}


def offered_price(clause: str) -> float | None:
    """The price that a clause puts on the table, also under a condition or as a question.

    None when it names none, names several, refuses, or speaks of some other amount (what was
    paid, what delivery costs, what a neighbour asks).
    """
    values = clause_prices(clause)
    refused = bool(_REFUSING.search(clause)) and not _LIMIT.search(clause)
    if len(values) != 1 or refused or _OTHER_AMOUNT.search(clause):
        return None
    return values.pop()


def concedes(clause: str) -> bool:
    """Whether a clause's price replaces one named before it in the same turn."""
    return bool(_CONCEDING.search(clause))


def accepts(clause: str) -> bool:
    """Whether a clause agrees to something, without a condition and not as a question."""
    return bool(_ACCEPTING.search(clause)) and _binding(clause)


def commits(clause: str) -> bool:
    """Whether a clause binds its speaker to the price in it."""
    return bool(_COMMITTING.search(clause)) and _binding(clause)


def refuses(clause: str) -> bool:
    """Whether a clause turns something down ("no deal at $50", "$60 is too much")."""
    return bool(_REFUSING.search(clause))


def _binding(clause: str) -> bool:
    return not (clause.endswith("?") or _CONDITIONAL.search(clause) or _REFUSING.search(clause))


def takes_back(clause: str) -> bool:
    """Whether a clause puts a condition on, or refuses, what was agreed to just before it."""
    return bool(_TAKING_BACK.search(clause)) and not _POLITE_IF.search(clause)


def proposes_deal(text: str) -> bool:
    """Whether a turn asks for a plain yes ("Deal?", "DEAL at $50")."""
    return any(_PROPOSAL.search(c) and not _REFUSING.search(c) for c in clauses(text))


def weakly_assents(text: str) -> bool:
    """Whether a turn opens with a plain yes; it counts only as the answer to a proposal.

    "Okay. $45 is too low" is no yes, so nothing in the turn may refuse or bind it.
    """
    parts = clauses(text)
    return (
        bool(parts)
        and bool(_WEAK_ASSENT.search(parts[0]))
        and not any(_REFUSING.search(c) or _CONDITIONAL.search(c) for c in parts)
    )
