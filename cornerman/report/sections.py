"""What became of each case between the starting and the best prompts.

Battles as the page shows them: evidence beside its turn, difficulty as a grid.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cornerman.report.model import (
    BattleCard,
    BattleSection,
    CaseOutcome,
    DifficultyRow,
    SubScore,
    ToolUse,
    Turn,
)
from cornerman.report.text import ShownText, as_text, cut, finite, show_value

# In the order in which a reader wants them: what got worse needs the first look.
VERDICTS = ("broke", "fixed", "failed", "wrong", "right")
LABELS = {
    "broke": "Broke",
    "fixed": "Fixed",
    "failed": "No answer",
    "wrong": "Still wrong",
    "right": "Right",
}
_SAME = 1e-9


# Of a call's messages; those before are the call before's.
_LAST_MESSAGES = 4


@dataclass(frozen=True)
class StepView:
    """One model call of a case: what was asked, what came back, what it took."""

    seq: int
    title: str
    prompts: str
    facts: str
    cost_usd: float
    asked: ShownText
    said: ShownText | None
    calls: Sequence[ShownText]
    note: str


@dataclass(frozen=True)
class CaseView:
    """A case with its verdict and its texts, cut to what a page can hold."""

    case: CaseOutcome
    verdict: str
    label: str
    glance: str
    inputs: Sequence[ShownText]
    expected: Sequence[ShownText]
    output: Sequence[ShownText]
    reason: ShownText
    error: ShownText
    steps: Sequence[StepView] = ()


def verdict(case: CaseOutcome) -> str:
    """Say what the best prompts did to a case.

    Returns:
        `broke` when its score fell, `fixed` when it rose, else `failed` when it timed out or
        errored, `right` for a full score, `wrong` for any other.
    """
    before, after = finite(case.score_before), finite(case.score_after)
    if before is not None and after is not None and abs(after - before) > _SAME:
        return "fixed" if after > before else "broke"
    if case.status in {"timed_out", "errored"}:
        return "failed"
    return "right" if after is not None and after >= 1 - _SAME else "wrong"


def case_views(cases: Sequence[CaseOutcome]) -> list[CaseView]:
    """Order cases by verdict, then by their place in the dataset."""
    views = [_case_view(case) for case in cases]
    return sorted(views, key=lambda view: (VERDICTS.index(view.verdict), view.case.index))


def verdict_counts(views: Sequence[CaseView]) -> list[tuple[str, str, int]]:
    """Count cases per verdict as (verdict, label, count), absent verdicts left out."""
    counted = [(v, LABELS[v], sum(view.verdict == v for view in views)) for v in VERDICTS]
    return [entry for entry in counted if entry[2]]


def _case_view(case: CaseOutcome) -> CaseView:
    found = verdict(case)
    inputs = show_value(case.inputs)
    # One line to know the case by: its input, since ids are often mere positions.
    glance = " ".join(inputs[0].text[:400].split()) if inputs else ""
    return CaseView(
        case=case,
        verdict=found,
        label=_failed_label(case) if found == "failed" else LABELS[found],
        glance=glance[:160],
        inputs=inputs,
        expected=show_value(case.expected),
        output=show_value(case.output),
        reason=cut(as_text(case.reason)),
        error=cut(as_text(case.error)),
        steps=step_views(case.trace),
    )


def step_views(trace: Sequence[Mapping[str, Any]]) -> list[StepView]:
    """Lay out a case's model calls."""
    return [_step(call) for call in trace]


def _step(call: Mapping[str, Any]) -> StepView:
    messages = list(call["messages"])
    said = call["response"]
    held = said.get("content") if isinstance(said, Mapping) else said
    calls = [{"tool": c.get("name"), "arguments": c.get("arguments")} for c in call["tool_calls"]]
    asked = [_plain(message) for message in messages[-_LAST_MESSAGES:]]
    left = len(messages) - len(asked)
    usage = call["usage"]
    return StepView(
        seq=int(call["seq"]),
        title=f"{call['role']} · {call['model']}",
        prompts=", ".join(call["prompts"]),
        facts=f"{usage['input_tokens']} + {usage['output_tokens']} tokens, "
        f"{call['latency_ms']:.0f} ms",
        cost_usd=float(call["cost_usd"]),
        asked=cut(as_text("\n".join([f"({left} earlier)"] * (left > 0) + asked))),
        said=cut(as_text(held)) if held else None,
        calls=show_value(calls) if calls else [],
        note=" ".join(filter(None, (call["note"], call["error"]))),
    )


def _plain(message: Any) -> str:
    if not isinstance(message, Mapping):
        return str(as_text(message))
    role = message.get("role") or message.get("type") or ""
    content = message.get("content", message.get("output"))
    if content is None:
        content = {k: v for k, v in message.items() if k not in {"role", "type"}}
    return f"{role}: {as_text(content)}"


def _failed_label(case: CaseOutcome) -> str:
    return "Timed out" if case.status == "timed_out" else "Errored"


_MAX_METRICS = 6
_SHADES = 10


@dataclass(frozen=True)
class ToolView:
    """One tool call with its texts, cut to what a page can hold."""

    tool: ToolUse
    arguments: ShownText
    result: ShownText


@dataclass(frozen=True)
class TurnView:
    """One turn and the sub-scores whose evidence cites it."""

    anchor: str
    turn: Turn
    by_agent: bool
    shown: ShownText
    cited: Sequence[SubScore]
    tools: Sequence[ToolView]


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


def battle_views(battles: Sequence[BattleCard], anchor: str = "battle") -> list[BattleView]:
    """Lay out each battle; anchors are counted, since ids come from outside."""
    return [_battle_view(battle, f"{anchor}-{n}") for n, battle in enumerate(battles, start=1)]


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
            tools=[
                ToolView(tool, cut(as_text(tool.arguments)), cut(tool.result))
                for tool in turn.tools
            ],
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
