"""Render a report as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from cornerman.domain.texts import DiffPart, prompt_diff
from cornerman.report import charts, evaluation, sections, text
from cornerman.report.evaluation import EvaluationSection
from cornerman.report.model import BattleSection, LedgerRow, Report, TrainingSection
from cornerman.report.text import cut, finalize

_HERE = Path(__file__).parent
_STYLES = ("vendor/uPlot.min.css", "assets/report.css")
_SCRIPTS = ("vendor/uPlot.iife.min.js", "assets/charts.js", "assets/report.js")


def render_report(report: Report) -> str:
    """Render a report.

    Args:
        report: The facts; any part may be missing.

    Returns:
        A whole HTML document. Its style and script are inside it and named by hash in its
        content policy, which forbids every request and every other script.
    """
    style, script = _joined(_STYLES), _joined(_SCRIPTS)
    training = _training(report.training) if report.training else None
    evaluated = _evaluation(report.evaluation) if report.evaluation else None
    battle = _battles(report.battles) if report.battles else None
    drawn = [*(training or {}).get("charts", ()), *(battle or {}).get("charts", ())]
    return (
        _environment()
        .get_template("report.html")
        .render(
            report=report,
            training=training,
            evaluation=evaluated,
            battles=battle,
            policy=_policy(style, script),
            style=style,
            script=script,
            chart_data=charts.script_json({chart.id: chart.data for chart in drawn}),
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    formats = ("score", "points", "signed", "usd", "count", "price", "plural", "when", "seconds")
    filters: dict[str, Any] = {name: getattr(text, name) for name in formats}
    filters["usd_column"] = _usd_column
    helpers: dict[str, Any] = {"took": text.took, "share": charts.share}
    environment.filters.update(filters)
    environment.globals.update(helpers)
    return environment


def _usd_column(value: float, rows: Sequence[LedgerRow]) -> str:
    return text.usd_column(value, text.column_digits(row.cost_usd for row in rows))


@cache
def _joined(names: tuple[str, ...]) -> Markup:
    texts = [(_HERE / name).read_text(encoding="utf-8") for name in names]
    return Markup("\n".join(texts))  # noqa: S704 - files of this package


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _training(section: TrainingSection) -> dict[str, Any]:
    learning = charts.learning_chart(section.epochs)
    cost = charts.cost_chart("training-cost", section.cost_over_time, section.budget_usd)
    views = sections.case_views(section.worst_cases)
    return {
        "run": section,
        "before": charts.estimate_whisker(section.seed_test),
        "after": charts.estimate_whisker(section.best_test),
        "finding": _finding(section),
        "learning": learning,
        "cost": cost,
        "charts": [chart for chart in (learning, cost) if chart],
        "lineage": charts.lineage(section.candidates),
        "prompts": _prompts(section),
        "cases": views,
        "verdicts": sections.verdict_counts(views),
        "total": _total(section.ledger),
    }


def _evaluation(section: EvaluationSection) -> dict[str, Any]:
    return {
        "run": section,
        "columns": evaluation.column_whiskers(section.columns),
        "best": max((c.score.value for c in section.columns if c.score), default=None),
        "cases": evaluation.differing_views(section),
        "total": _total(section.ledger),
    }


def _battles(section: BattleSection) -> dict[str, Any]:
    cost = charts.cost_chart("battle-cost", section.cost_over_time, section.batch_budget_usd)
    axis = charts.rating_axis(section.ratings)
    ranked = sorted(section.ratings, key=lambda r: -(text.finite(r.rating) or 0.0))
    return {
        "batch": section,
        "average": charts.estimate_whisker(section.average_score, (0.0, 100.0)),
        **_earlier(section),
        "cost": cost,
        "charts": [cost] if cost else [],
        "views": sections.battle_views(section.battles),
        "metrics": sections.metric_names(section),
        "heat": sections.heat_rows(section),
        "axis": axis,
        "ratings": [(r, charts.whisker(r.rating, r.low, r.high, axis)) for r in ranked],
        "total": _total(section.ledger),
    }


def _earlier(section: BattleSection) -> dict[str, Any]:
    """What the page shows of the batch that this one repeats."""
    earlier = section.earlier
    if earlier is None:
        return {"earlier": None, "before": None, "earlier_views": []}
    return {
        "earlier": earlier,
        "before": charts.estimate_whisker(earlier.average_score, (0.0, 100.0)),
        "earlier_views": sections.battle_views(earlier.battles, "earlier"),
    }


def _finding(section: TrainingSection) -> str:
    """Say in one sentence whether the gain is more than chance."""
    gain = section.improvement
    if gain is None:
        return ""
    low, high = text.finite(gain.low), text.finite(gain.high)
    if low is None or high is None:
        return "Too few cases for an interval: this may be chance."
    if low > 0:
        return "The interval excludes zero: better with 95% confidence."
    if high < 0:
        return "The interval excludes zero: worse with 95% confidence."
    return "The interval includes zero: this may be chance."


def _prompts(section: TrainingSection) -> list[tuple[str, list[DiffPart], list[str]]]:
    """Compare each prompt by name; a name on one side only is all insertion or deletion."""
    names = dict.fromkeys([*section.prompts_before, *section.prompts_after])
    compared: list[tuple[str, list[DiffPart], list[str]]] = []
    for name in names:
        before = cut(section.prompts_before.get(name, ""))
        after = cut(section.prompts_after.get(name, ""))
        notes = [note for note in (before.note, after.note) if note]
        compared.append((name, prompt_diff(before.text, after.text), notes))
    return compared


def _total(ledger: Sequence[LedgerRow]) -> LedgerRow:
    return LedgerRow(
        role="Total",
        calls=sum(row.calls for row in ledger),
        input_tokens=sum(row.input_tokens for row in ledger),
        output_tokens=sum(row.output_tokens for row in ledger),
        cost_usd=sum(row.cost_usd for row in ledger),
        failed=sum(row.failed for row in ledger),
    )
