"""Which kind of move a search makes next: a text, or demonstrations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from cornerman.domain.training.candidates import Candidate
from cornerman.domain.training.optimizer import Lab

Move = Literal["text", "demonstrations"]

# What a move is believed to bring before it was made: this gain of validation for so many calls.
# Large enough that a first round without a gain does not end a kind of move.
_PRIOR_GAIN, _PRIOR_CALLS = 0.05, 100.0
# What a kind has brought before its last round counts so much: what has dried up is left soon.
_KEPT = 0.5


@dataclass
class _Record:
    gain: float = _PRIOR_GAIN
    calls: float = _PRIOR_CALLS


class Moves:
    """What each kind of move has brought so far, for a call spent.

    Args:
        kinds: In the order in which they are tried first.
    """

    def __init__(self, kinds: Sequence[Move]) -> None:
        self._records: dict[Move, _Record] = {kind: _Record() for kind in kinds}

    def in_order(self) -> list[Move]:
        """The kinds, the most promising first."""
        places = {kind: place for place, kind in enumerate(self._records)}

        def key(kind: Move) -> tuple[float, int]:
            record = self._records[kind]
            return -record.gain / record.calls, places[kind]

        return sorted(self._records, key=key)

    def note(self, kind: Move, *, gain: float, calls: int) -> None:
        """What a move brought: the gain of the best validation score, for so many calls."""
        record = self._records[kind]
        record.gain = _KEPT * record.gain + max(0.0, gain)
        record.calls = _KEPT * record.calls + calls


def calls_of(lab: Lab, candidates: Iterable[Candidate]) -> int:
    """Cases that these candidates have run; the same for a run that is resumed."""
    return sum(len(lab.results(name)) for name in {one.id for one in candidates})
