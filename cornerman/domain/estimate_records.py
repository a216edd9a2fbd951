"""The figures of an estimate: spans from low to high, groups of calls, and the whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Span:
    """A number between `low` and `high`, probably near `likely`."""

    low: float
    likely: float
    high: float

    def __add__(self, other: Span) -> Span:
        return Span(self.low + other.low, self.likely + other.likely, self.high + other.high)

    def times(self, factor: float) -> Span:
        return Span(self.low * factor, self.likely * factor, self.high * factor)

    def as_dict(self) -> dict[str, float]:
        return {"low": self.low, "likely": self.likely, "high": self.high}


@dataclass(frozen=True)
class CallGroup:
    """All calls of one role: how many, and the tokens of one."""

    role: str
    model: str
    calls: Span
    input_tokens: Span
    output_tokens: Span


@dataclass(frozen=True)
class PastCalls:
    """What earlier runs of the workflow took, per role: means over their calls.

    Args:
        calls_per_unit: Calls per case run, or per battle.
    """

    input_tokens: float
    output_tokens: float
    calls_per_unit: float


@dataclass(frozen=True)
class CostEstimate:
    """USD to expect, and the calls behind it.

    Args:
        basis: In words, what the figures rest on.
        notes: What the asker should know, such as a budget that is too small.
    """

    usd: Span
    groups: tuple[CallGroup, ...]
    basis: str
    notes: list[str] = field(default_factory=list[str])

    def as_dict(self) -> dict[str, Any]:
        """The document of `cornerman estimate --json`."""
        return {
            "low_usd": self.usd.low,
            "likely_usd": self.usd.likely,
            "high_usd": self.usd.high,
            "calls": {
                group.role: {name: round(count) for name, count in group.calls.as_dict().items()}
                for group in self.groups
            },
            "basis": self.basis,
            "notes": self.notes,
        }


# Gives the picodollars of one call of a model by its input and output tokens.
Pricer = Callable[[str, int, int], int]
