"""Prices as people write them."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBER = r"\d{1,3}(?:,\d{3}){1,4}(?:\.\d{1,2})?(?!\d)|\d{1,12}(?:\.\d{1,2})?(?![\d,.]{0,20}\d)"
# 1.200,50 is read the continental way only beside a euro sign.
_EURO_NUMBER = r"\d{1,3}(?:\.\d{3}){1,4}(?:,\d{1,2})?(?!\d)|\d{1,12},\d{1,2}(?!\d)"
_PRICE = re.compile(
    rf"""
    €\s?(?P<continental>{_EURO_NUMBER})
    | (?:US)?[$£€]\s?(?P<number>{_NUMBER})\s?(?P<kilo>k\b)?
    | \b(?:USD|EUR|GBP)\s?(?P<number2>{_NUMBER})\s?(?P<kilo2>k\b)?
    | (?<![\w.,$£€-])(?P<number3>{_NUMBER})\s?(?P<kilo3>k)?\s?
      (?:dollars?\b|bucks\b|USD\b|euros?\b|EUR\b|pounds?\b|GBP\b|[€£$](?!\s?\d))
    | (?<![\w.,])(?P<number4>{_EURO_NUMBER})\s?€
    """,
    re.IGNORECASE | re.VERBOSE,
)


@dataclass(frozen=True)
class PriceMention:
    """A price in a text: its value and where it stands."""

    value: float
    start: int
    end: int


def parse_prices(text: str) -> list[PriceMention]:
    """Find the prices in a text, in order.

    A price needs a currency beside it ("$1,200.50", "1200 dollars", "250 USD", "5k bucks"), so
    that sizes, counts and years are none. Amounts of zero are left out.
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
        return float(continental.replace(".", "").replace(",", "."))
    number = groups["number"] or groups["number2"] or groups["number3"]
    kilo = groups["kilo"] or groups["kilo2"] or groups["kilo3"]
    return float(number.replace(",", "")) * (1000 if kilo else 1)
