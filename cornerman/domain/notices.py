"""What Cornerman tells people: messages in Slack's Block Kit, as plain dictionaries.

Everything that a model or a user wrote is escaped and shortened here, so that no text can forge
a link or a mention, and no message is refused for its length.
https://docs.slack.dev/reference/block-kit/blocks
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

HEADER_CHARS = 150
SECTION_CHARS = 3000
FIELD_CHARS = 2000
FIELDS = 10
QUOTED_LINES = 20

SIMULATED_MARK = "Simulated: the rehearsal endpoint wrote this text, no model did."


@dataclass(frozen=True)
class SlackMessage:
    """A message. `text` is what notifications and consoles show."""

    text: str
    blocks: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class BatchDone:
    """A batch ended.

    Args:
        average_score: 0 to 100; None when no battle was scored.
        failed: Battles that could not be held, or that no referee could score.
        is_lost: Not one was scored.
    """

    batch_id: str
    completed: int
    total: int
    average_score: float | None
    cost_usd: float
    budget_usd: float
    breakthroughs: int = 0
    errors: tuple[str, ...] = ()
    stopped_by: str | None = None
    failed: int = 0
    is_lost: bool = False
    simulated: bool = False


@dataclass(frozen=True)
class BreakthroughFound:
    """A battle worth keeping. `score` is 0-100; `snippet` is what was said at its turn."""

    battle_id: str
    persona: str
    score: float
    tactic: str
    snippet: str = ""
    simulated: bool = False


@dataclass(frozen=True)
class BudgetStopped:
    """A budget ended a run or tripped the kill-switch."""

    budget: str
    limit_usd: float
    spent_usd: float
    run_id: str
    kill_switch: bool = False
    simulated: bool = False


@dataclass(frozen=True)
class Regression:
    """A version is worse than the one before; the interval is of the ratings' difference."""

    version: str
    previous: str
    difference: float
    low: float
    high: float
    battles: int
    simulated: bool = False


@dataclass(frozen=True)
class RunFailed:
    """A run ended in an error. `hint` is what mends it."""

    run_id: str
    error: str
    hint: str = ""
    facts: dict[str, str] = field(default_factory=dict[str, str])
    simulated: bool = False


def batch_done(notice: BatchDone) -> SlackMessage:
    """Say how a batch ended."""
    score = "unscored" if notice.average_score is None else f"{notice.average_score:.1f} / 100"
    title = f"Battle batch {notice.batch_id}: {notice.completed} of {notice.total} done"
    if notice.is_lost:
        title = f"Battle batch {notice.batch_id} failed: none of {notice.total} was scored"
    elif notice.failed:
        title += f", {notice.failed} failed"
    facts = {
        "Average score": score,
        "Cost": f"{_usd(notice.cost_usd)} of {_usd(notice.budget_usd)}",
        "Breakthroughs": str(notice.breakthroughs),
    }
    if notice.stopped_by:
        facts["Stopped by"] = notice.stopped_by
    errors = "\n".join(f"• {error}" for error in notice.errors)
    return _message(title, facts, errors and f"Errors:\n{errors}", simulated=notice.simulated)


def breakthrough(notice: BreakthroughFound) -> SlackMessage:
    """Say what a battle showed."""
    title = f"Breakthrough against {notice.persona}: {notice.score:.0f} / 100"
    facts = {"Battle": notice.battle_id, "State": "pending_review"}
    return _message(title, facts, notice.tactic, quote=notice.snippet, simulated=notice.simulated)


def budget_stopped(notice: BudgetStopped) -> SlackMessage:
    """Say which budget is used up, and what has to be done."""
    title = f"Budget {notice.budget} is used up"
    facts = {
        "Spent": f"{_usd(notice.spent_usd)} of {_usd(notice.limit_usd)}",
        "Run": notice.run_id,
        "Kill-switch": "on" if notice.kill_switch else "off",
    }
    todo = "No paid call is started until: cornerman kill-switch off" if notice.kill_switch else ""
    return _message(title, facts, todo, simulated=notice.simulated)


def regression(notice: Regression) -> SlackMessage:
    """Say that a version is worse, and how sure that is."""
    title = f"Version {notice.version} is worse than {notice.previous}"
    interval = f"{notice.difference:+.2f} (95%: {notice.low:+.2f} to {notice.high:+.2f})"
    facts = {"Difference": interval, "Battles": str(notice.battles)}
    return _message(title, facts, simulated=notice.simulated)


def failure(notice: RunFailed) -> SlackMessage:
    """Say what went wrong, and what mends it."""
    title = f"Run {notice.run_id} failed"
    todo = f"What to do: {notice.hint}" if notice.hint else ""
    body = "\n".join(part for part in (notice.error, todo) if part)
    return _message(title, notice.facts, body, simulated=notice.simulated)


def escape(text: str) -> str:
    """Escape the characters that Slack reads as marks, without which no link or mention is made."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def shorten(text: str, limit: int) -> str:
    """Cut text to `limit` characters, the last one an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _message(
    title: str, facts: dict[str, str], body: str = "", *, quote: str = "", simulated: bool
) -> SlackMessage:
    # A header is plain text, in which nothing is a mark and nothing needs an escape.
    title = shorten(" ".join(f"{'[simulated] ' if simulated else ''}{title}".split()), HEADER_CHARS)
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": title}}
    ]
    if facts:
        fields = [_field(name, value) for name, value in list(facts.items())[:FIELDS]]
        blocks.append({"type": "section", "fields": fields})
    blocks += [_section(text) for text in (_fit(body, SECTION_CHARS), _quote(quote)) if text]
    if simulated:
        mark = {"type": "mrkdwn", "text": f":test_tube: {SIMULATED_MARK}"}
        blocks.append({"type": "context", "elements": [mark]})
    lines = [title, ", ".join(f"{name}: {value}" for name, value in facts.items()), body]
    text = "\n".join(line for line in lines if line)
    return SlackMessage(_fit(text, SECTION_CHARS), tuple(blocks))


def _field(name: str, value: str) -> dict[str, str]:
    return {"type": "mrkdwn", "text": f"*{escape(name)}*\n{_fit(value, FIELD_CHARS - 200) or '–'}"}


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _quote(text: str) -> str:
    """Mark lines as quoted. The mark is ours and is not escaped; what it quotes is."""
    lines = text.splitlines()[:QUOTED_LINES]
    # Room for the mark and the line's end of each.
    fitted = _fit("\n".join(lines), SECTION_CHARS - 2 * QUOTED_LINES)
    return "\n".join(f"> {line}" for line in fitted.splitlines())


def _fit(text: str, limit: int) -> str:
    """Escape text and cut it, but never within an escape."""
    short = text[:limit]
    while len(escape(short)) > limit:
        short = short[: max(0, len(short) - max(1, (len(escape(short)) - limit) // 5))]
    return escape(short if short == text else short[:-1] + "…")


def _usd(amount: float) -> str:
    return f"${amount:,.2f}" if amount >= 0.01 or amount == 0 else f"${amount:.6f}"
