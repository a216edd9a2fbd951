"""What all groups of settings share.

Parsers of single values. A ValueError's text completes the sentence "NAME must …".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, NoReturn
from urllib.parse import urlsplit

from pydantic import model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from cornerman.domain.money import Price


class SettingsGroup(BaseSettings):
    """Some settings that belong together; a field's environment variable is its upper-case name."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        # Lists and prices are parsed by us, so that the error can name what is wrong in them.
        enable_decoding=False,
        extra="ignore",
        frozen=True,
        # pydantic would print what it refused, secrets included.
        hide_input_in_errors=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _blank_means_not_set(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        tidy = {name: v.strip() if isinstance(v, str) else v for name, v in data.items()}
        return {name: value for name, value in tidy.items() if value != ""}


_MOST_USD_PER_MILLION = 1_000_000
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_CRON_FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _WEEKDAYS),
)


def split_list(text: str) -> list[str]:
    """Split a comma-separated list; blanks around and empty entries are dropped."""
    return [part.strip() for part in text.split(",") if part.strip()]


def parse_module_prefixes(text: str) -> tuple[str, ...]:
    """Parse prefixes of dotted module names, such as `my_company.evals, other`."""
    prefixes = tuple(part.removesuffix(".*") for part in split_list(text))
    for prefix in prefixes:
        if not all(part.isidentifier() for part in prefix.split(".")):
            raise ValueError(f"list module names such as my_package.evals; {prefix!r} is none")
    return prefixes


def module_allowed(module: str, prefixes: Iterable[str]) -> bool:
    """Whether a module is one of the prefixes or inside one: `a.b` allows `a.b.c`, not `a.bc`."""
    return any(module == prefix or module.startswith(f"{prefix}.") for prefix in prefixes)


def check_web_address(text: str) -> str:
    """Check an http(s) address; the slash at its end is dropped."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
        parts = None
    if not usable or parts is None:
        raise ValueError("be an http:// or https:// address with a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("hold no user or password; keys have variables of their own")
    return text.rstrip("/")


def check_dask_address(text: str) -> str:
    """Check a Dask scheduler's address."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("tcp", "tls") and bool(parts.hostname and parts.port)
    except ValueError:
        usable = False
    if not usable or "@" in text:
        raise ValueError("be tcp://HOST:PORT or tls://HOST:PORT")
    return text.rstrip("/")


def parse_model_prices(text: str) -> dict[str, Price]:
    """Parse MODEL_PRICES: a JSON object of model to USD per million tokens.

    Args:
        text: A price is `{"input", "output", "cached_input"?}` or `[input, output]`.
    """
    try:
        # Decimals straight from the text, so that 0.15 is exactly 0.15.
        parsed = json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"be a JSON object of model to price ({error})") from None
    if not isinstance(parsed, dict):
        raise ValueError("be a JSON object of model to price")
    return {str(model): parse_price(str(model), price) for model, price in parsed.items()}


def parse_price(model: str, price: Any) -> Price:
    """Read one model's price, as an object or as the pair of input and output."""
    if isinstance(price, list) and len(price) == 2:
        price = {"input": price[0], "output": price[1]}
    if not isinstance(price, dict) or not {"input", "output"} <= set(price):
        raise ValueError(f'give model {model!r} {{"input": USD, "output": USD}} or [input, output]')
    if unknown := sorted(set(price) - {"input", "output", "cached_input"}):
        raise ValueError(
            f"give model {model!r} only input, output and cached_input, not {unknown[0]!r}"
        )
    cached = price.get("cached_input")
    return Price(
        input_usd=_usd(model, "input", price["input"]),
        output_usd=_usd(model, "output", price["output"]),
        cached_input_usd=None if cached is None else _usd(model, "cached_input", cached),
    )


def check_cron(text: str) -> str:
    """Check a cron expression's five fields and their bounds, as cron(5) writes them."""
    fields = text.split()
    if len(fields) != len(_CRON_FIELDS):
        raise ValueError(
            "have five fields (minute hour day month weekday), such as '*/30 * * * *'; "
            f"it has {len(fields)}"
        )
    for field, (name, low, high, names) in zip(fields, _CRON_FIELDS, strict=True):
        if not all(_cron_part_fits(part, low, high, names) for part in field.split(",")):
            raise ValueError(f"have a {name} of {low} to {high}, not {field!r}")
    return " ".join(fields)


def _cron_part_fits(part: str, low: int, high: int, names: Sequence[str]) -> bool:
    span, slash, step = part.partition("/")
    if slash and not (step.isdecimal() and int(step) > 0):
        return False
    if span == "*":
        return True
    ends = [_cron_number(end, names, low) for end in span.split("-")]
    numbers = [end for end in ends if end is not None]
    return (
        len(numbers) == len(ends) <= 2
        and all(low <= end <= high for end in numbers)
        and numbers == sorted(numbers)
    )


def _cron_number(text: str, names: Sequence[str], first: int) -> int | None:
    if text.lower() in names:
        return names.index(text.lower()) + first
    return int(text) if re.fullmatch(r"[0-9]{1,2}", text) else None


def _usd(model: str, kind: str, value: Any) -> Decimal:
    is_number = isinstance(value, int | Decimal | float) and not isinstance(value, bool)
    if is_number and 0 <= (usd := Decimal(str(value))) <= _MOST_USD_PER_MILLION:
        return usd
    raise ValueError(
        f"give model {model!r} prices of 0 to {_MOST_USD_PER_MILLION} USD per million tokens; "
        f"its {kind} price is {value!s}"
    )


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no price")
