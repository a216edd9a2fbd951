"""A run in a few lines of Markdown, and its figures as rows: for places that show no pages."""

from __future__ import annotations

import html
from typing import Any

from cornerman.report.evaluation import EvaluatedColumn, EvaluationSection
from cornerman.report.model import BattleSection, EpochPoint, Estimate, TrainingSection

_BAR = 20
SIMULATED = "*Simulated: the rehearsal endpoint answered, no model did.*"


def training_markdown(run: TrainingSection, *, simulated: bool) -> str:
    """The learning curve with what the run came to."""
    change = run.improvement
    lines = [
        f"## {_text(run.workflow_id)}: learning curve",
        *([SIMULATED, ""] if simulated else []),
        f"Run `{_text(run.run_id)}` is **{run.status}**"
        + (f" (stopped by {_text(run.stopped_by)})" if run.stopped_by else "")
        + f", ${run.cost_usd:.4f}, {run.model_calls} model calls.",
        "",
        "| epoch | validation | | accepted |",
        "|---:|---:|:---|:---|",
        *(_epoch(point) for point in run.epochs),
        "",
        f"Test split: {_estimate(run.seed_test)} before, {_estimate(run.best_test)} after.",
    ]
    if change is not None:
        lines.append(f"Change {change.mean:+.3f} ({_interval(change.low, change.high)}).")
    if run.unchanged:
        lines.append("Unchanged: no rewrite did better than the prompts that it started from.")
    lines += [_text(note) for note in run.notes]
    if run.remark:
        lines.append(_text(run.remark))
    if run.best_checkpoint_id:
        lines.append(f"Best checkpoint `{_text(run.best_checkpoint_id)}`.")
    return "\n".join(lines)


def _epoch(point: EpochPoint) -> str:
    score = point.validation_score
    bar = "" if score is None else "█" * round(score * _BAR) + "░" * (_BAR - round(score * _BAR))
    accepted = {True: "yes", False: "no", None: ""}[point.accepted]
    return f"| {point.epoch} | {_number(score, 3)} | {bar} | {accepted} |"


def training_rows(run: TrainingSection) -> list[dict[str, Any]]:
    """A row for each epoch."""
    return [
        {
            "epoch": point.epoch,
            "train": _number(point.score, 3),
            "validation": _number(point.validation_score, 3),
            "low": _number(point.validation_low, 3),
            "high": _number(point.validation_high, 3),
            "accepted": point.accepted,
            "cost_usd": round(point.cost_usd, 6),
            "why": point.reason,
        }
        for point in run.epochs
    ]


def evaluation_markdown(run: EvaluationSection, *, simulated: bool) -> str:
    """The columns of an evaluation, and whether its bar is met."""
    words = {"passed": "Passed.", "below": "**Not passed.**", "unjudged": "The bar was not judged."}
    lines = [
        f"## {_text(run.workflow_id)}: evaluation",
        *([SIMULATED, ""] if simulated else []),
        f"Run `{_text(run.run_id)}` is **{run.status}**"
        + (f" (stopped by {_text(run.stopped_by)})" if run.stopped_by else "")
        + f", ${run.cost_usd:.4f}, {run.model_calls} model calls.",
        "",
        "| prompts and model | score | change, paired | against |",
        "|:---|:---|:---|:---|",
        *(_column(column) for column in run.columns),
        "",
        f"{run.differ} of {len(run.cases)} cases "
        + ("differ between columns." if len(run.columns) > 1 else "are below a full score."),
    ]
    if run.verdict:
        lines.append(words[run.verdict])
    lines += [f"- {_text(text)}" for text in run.failures]
    lines += [_text(note) for note in run.notes]
    return "\n".join(lines)


def _column(column: EvaluatedColumn) -> str:
    change = column.change
    words = (
        ""
        if change is None
        else f"{change.mean:+.3f} ({_interval(change.low, change.high)}, n={change.n})"
    )
    return (
        f"| {_text(column.name)} | {_estimate(column.score)} | {words} | {_text(column.against)} |"
    )


def batch_markdown(batch: BattleSection, *, simulated: bool) -> str:
    """What a batch of battles came to."""
    held = [card for card in batch.battles if not card.rerun]
    ended = sum(card.status in ("scored", "unscored") for card in held)
    reruns = len(batch.battles) - len(held)
    failed = [card for card in batch.battles if card.error]
    lines = [
        f"## {_text(batch.workflow_id)}: battle batch",
        *([SIMULATED, ""] if simulated else []),
        f"Batch `{_text(batch.batch_id)}` is **{batch.status}**"
        + (f" (stopped by {_text(batch.stopped_by)})" if batch.stopped_by else "")
        + ".",
        "",
        f"- Battles: {ended} of {len(held)}"
        + (f", and {reruns} more that confirm a breakthrough" if reruns else ""),
        f"- Average score: {_estimate(batch.average_score, 1)} of 100",
        f"- Cost: ${batch.total_cost_usd:.4f}"
        + (f" of ${batch.batch_budget_usd:.2f}" if batch.batch_budget_usd else ""),
        f"- Breakthroughs: {len(batch.breakthroughs)}",
        *(f"- Failed: {_text(card.persona_id)}: {_text(card.error[:200])}" for card in failed),
    ]
    return "\n".join(lines)


def batch_rows(batch: BattleSection) -> list[dict[str, Any]]:
    """A row for each battle."""
    return [
        {
            "persona": card.persona_name or card.persona_id,
            "status": card.status,
            "score": _number(card.score, 1),
            "ended_by": card.ended_by,
            "turns": len(card.turns),
            "cost_usd": round(card.cost_usd, 6),
        }
        for card in batch.battles
    ]


def _text(value: str) -> str:
    """Text of a model or a user, which must not become a mark."""
    plain = " ".join(value.split()).replace("`", "'").replace("|", "/")
    return html.escape(plain, quote=False)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _estimate(found: Estimate | None, digits: int = 3) -> str:
    if found is None:
        return "-"
    return f"{found.value:.{digits}f} ({_interval(found.low, found.high, digits)}, n={found.n})"


def _interval(low: float | None, high: float | None, digits: int = 3) -> str:
    return f"95%: {_number(low, digits)} to {_number(high, digits)}"
