"""Battles as the page shows them: evidence beside its turn, difficulty as a grid."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from cornerman.report.model import BattleCard, BattleSection, DifficultyRow, SubScore, Turn
from cornerman.report.numbers import finite
from cornerman.report.text import ShownText, cut

_MAX_METRICS = 6
_SHADES = 10


@dataclass(frozen=True)
class TurnView:
    """One turn and the sub-scores whose evidence cites it."""

    anchor: str
    turn: Turn
    by_agent: bool
    shown: ShownText
    cited: Sequence[SubScore]


@dataclass(frozen=True)
class BattleView:
    """One battle; `uncited` are sub-scores that cite no turn of this transcript."""

    battle: BattleCard
    anchor: str
    turns: Sequence[TurnView]
    uncited: Sequence[SubScore]


@dataclass(frozen=True)
class HeatCell:
    """A score 0..100 and its shade, from 0 (hardest) to 10; None when never met."""

    score: float | None
    shade: int | None


@dataclass(frozen=True)
class HeatRow:
    """A persona's cells: the score first, then the metrics in column order."""

    row: DifficultyRow
    cells: Sequence[HeatCell]


def battle_views(battles: Sequence[BattleCard]) -> list[BattleView]:
    """Lay out each battle; anchors are counted, since ids come from outside."""
    return [_battle_view(battle, f"battle-{n}") for n, battle in enumerate(battles, start=1)]


def _battle_view(battle: BattleCard, anchor: str) -> BattleView:
    cited: defaultdict[int, list[SubScore]] = defaultdict(list)
    present = {turn.index for turn in battle.turns}
    uncited: list[SubScore] = []
    for sub in battle.sub_scores:
        if sub.turn is not None and sub.turn in present:
            cited[sub.turn].append(sub)
        else:
            uncited.append(sub)
    turns = [
        TurnView(
            anchor=f"{anchor}-turn-{turn.index}",
            turn=turn,
            by_agent=turn.speaker == "agent",
            shown=cut(turn.text),
            cited=cited[turn.index],
        )
        for turn in battle.turns
    ]
    return BattleView(battle, anchor, turns, uncited)


def metric_names(section: BattleSection) -> list[str]:
    """Names of sub-scores in the order in which they first appear, a handful at most."""
    names = dict.fromkeys(sub.name for battle in section.battles for sub in battle.sub_scores)
    return list(names)[:_MAX_METRICS]


def heat_rows(section: BattleSection) -> list[HeatRow]:
    """Rows of the difficulty grid, hardest persona first, those never scored last.

    All cells are the given means over all battles.
    """
    names = metric_names(section)
    rows = [
        HeatRow(row, [_cell(row.mean_score), *(_cell(row.metrics.get(name)) for name in names)])
        for row in section.difficulty
    ]
    return sorted(rows, key=lambda row: (row.cells[0].score is None, row.cells[0].score or 0.0))


def _cell(score: float | None) -> HeatCell:
    number = finite(score)
    if number is None:
        return HeatCell(None, None)
    return HeatCell(number, round(min(max(number, 0.0), 100.0) / 100 * _SHADES))
