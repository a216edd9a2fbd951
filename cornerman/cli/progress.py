"""Watching a run while it works in the same process, by reading its events as they are written.

How progress looks: bars in a terminal, lines elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncGenerator, Coroutine
from types import TracebackType
from typing import Any, Protocol, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from cornerman.cli.output import usd
from cornerman.domain.errors import NotFoundError
from cornerman.storage import events, ledger, runs
from cornerman.storage.database import Database

T = TypeVar("T")

_LOOK_SECONDS = 0.3
_PAGE = 500


class View(Protocol):
    """Shows a run's progress."""

    def event(self, name: str, payload: dict[str, Any]) -> None:
        """Take in one event, in order."""
        ...

    def cost(self, usd: float) -> None:
        """Take in what the run has cost so far."""
        ...


async def follow(db: Database, run_id: str, view: View, work: Coroutine[Any, Any, T]) -> T:
    """Await `work`, showing the run's progress meanwhile; Ctrl-C cancels the run in good order.

    Raises:
        asyncio.CancelledError: Ctrl-C came before the run was stored, or came twice.
    """
    task = asyncio.ensure_future(work)
    last = 0
    async with _cancel_on_ctrl_c(db, run_id, task):
        while True:
            ended = task.done()
            last = await _show_new(db, run_id, view, last)
            if ended:
                return task.result()
            await asyncio.wait({task}, timeout=_LOOK_SECONDS)


async def _show_new(db: Database, run_id: str, view: View, last: int) -> int:
    while True:
        page = await db.read(events.read_events, run_id, after=last, limit=_PAGE)
        for event in page:
            view.event(event.event, event.payload)
            last = event.seq
        if len(page) < _PAGE:
            break
    view.cost(await db.read(ledger.read_run_cost_pico, run_id) / 10**12)
    return last


@contextlib.asynccontextmanager
async def _cancel_on_ctrl_c(
    db: Database, run_id: str, task: asyncio.Future[Any]
) -> AsyncGenerator[None]:
    """The first Ctrl-C asks the run to end, as `cornerman runs cancel` does; the second insists."""
    loop = asyncio.get_running_loop()
    asked: list[asyncio.Task[None]] = []

    async def ask() -> None:
        try:
            await db.write(runs.request_cancel, run_id)
        except NotFoundError:
            # Nothing was stored yet, so there is nothing to leave in good order.
            task.cancel()

    def on_ctrl_c() -> None:
        if asked:
            task.cancel()
        else:
            asked.append(loop.create_task(ask()))

    loop.add_signal_handler(signal.SIGINT, on_ctrl_c)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=5)


# Lines are for logs, which nobody wants to be long.
_LINE_EVERY_SECONDS = 5.0


class _Bars:
    """A bar for the work and one for the money; in a log a line now and then."""

    def __init__(self, console: Console, budget_usd: float | None) -> None:
        self.console = console
        self.budget_usd = budget_usd
        self.spent_usd = 0.0
        self._told_at: float | None = None
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=32),
            TextColumn("{task.fields[figures]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._work: TaskID = self._progress.add_task("starting", total=None, figures="")
        self._money: TaskID = self._progress.add_task("cost", total=budget_usd, figures="")

    def __enter__(self) -> None:
        self._progress.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def work(self, what: str, done: int, total: int | None, figures: str = "") -> None:
        counted = f"{done} of {total}" if total else str(done)
        shown = f"{counted}{figures}"
        self._progress.update(
            self._work, description=what, completed=done, total=total, figures=shown
        )
        now = time.monotonic()
        # The first line is due some time after the first news, however long starting up took.
        self._told_at = self._told_at or now
        if not self.console.is_terminal and now - self._told_at > _LINE_EVERY_SECONDS:
            self.line(f"{what}: {shown}, {usd(self.spent_usd)}")

    def cost(self, spent_usd: float) -> None:
        self.spent_usd = spent_usd
        budget = f" of {usd(self.budget_usd)}" if self.budget_usd else ""
        self._progress.update(self._money, completed=spent_usd, figures=usd(spent_usd) + budget)

    def line(self, text: str, style: str | None = None) -> None:
        self._told_at = time.monotonic()
        self.console.print(text, style=style)


class TrainingView:
    """Progress of a training run.

    Args:
        first_epoch_cases: How many case runs epoch 1 has.
        test_cases: How many cases are opened at the end.
    """

    def __init__(
        self,
        console: Console,
        *,
        epochs: int,
        first_epoch_cases: int,
        test_cases: int,
        budget_usd: float | None,
    ) -> None:
        self.bars = _Bars(console, budget_usd)
        self._epochs = epochs
        self._totals = {"1": first_epoch_cases, "test": 2 * test_cases}
        self._done: dict[str, int] = {}
        self._trouble = 0

    def event(self, name: str, payload: dict[str, Any]) -> None:
        if name == "training_progress":
            self._case(payload)
        elif name == "training_epoch_complete":
            self._epoch(payload)
        elif name == "judge_checked":
            kappa = payload["kappa"]["value"]
            words = "not known" if kappa is None else f"{kappa:.2f}"
            self.bars.line(f"judge: kappa {words} on {payload['scored']} labelled cases")
        elif name == "training_checkpoint":
            score = payload.get("metrics", {}).get("validation_score")
            best = ", best so far" if payload.get("is_best") else ""
            self.bars.line(
                f"  checkpoint {payload['id'][:8]}, version {payload['config_version']}, "
                f"validation {_percent(score)}{best}",
                style="green",
            )

    def _case(self, payload: dict[str, Any]) -> None:
        testing = payload.get("split") == "test"
        key = "test" if testing else str(payload["epoch"])
        self._done[key] = self._done.get(key, 0) + 1
        self._trouble += payload["status"] != "scored"
        what = "test split" if testing else f"epoch {key} of {self._epochs}"
        trouble = f", {self._trouble} without an answer" if self._trouble else ""
        self.bars.work(what, self._done[key], self._totals.get(key), f" cases{trouble}")

    def _epoch(self, payload: dict[str, Any]) -> None:
        verdict = "kept" if payload.get("accepted") else "not kept"
        validation = _percent(payload.get("validation_score"))
        self.bars.line(
            f"epoch {payload['epoch']} of {self._epochs}: validation {validation}, "
            f"{verdict}: {payload.get('reason', '')}"
        )

    def cost(self, usd: float) -> None:
        self.bars.cost(usd)


class EvaluationView:
    """Progress of an evaluation of `total` case runs."""

    def __init__(self, console: Console, *, total: int, budget_usd: float | None) -> None:
        self.bars = _Bars(console, budget_usd)
        self._total = total
        self._done = 0
        self._trouble = 0

    def event(self, name: str, payload: dict[str, Any]) -> None:
        if name != "evaluation_progress":
            return
        self._done += 1
        self._trouble += payload["status"] != "scored"
        trouble = f", {self._trouble} without an answer" if self._trouble else ""
        self.bars.work("evaluation", self._done, self._total, f" cases{trouble}")

    def cost(self, usd: float) -> None:
        self.bars.cost(usd)


class BatchView:
    """Progress of a battle batch of `size` battles."""

    def __init__(self, console: Console, *, size: int, budget_usd: float | None) -> None:
        self.bars = _Bars(console, budget_usd)
        self._size = size
        self._ended = 0
        self._turns = 0

    def event(self, name: str, payload: dict[str, Any]) -> None:
        if name == "battle_turn":
            self._turns += 1
        elif name in ("battle_scored", "battle_failed"):
            self._ended += 1
            self.bars.line(f"  {_battle_words(name, payload)}")
        elif name == "breakthrough":
            self.bars.line("  a breakthrough: its tactic should be kept", style="green")
        elif name == "budget_stopped":
            self.bars.line("  stopped: the budget is spent", style="yellow")
        self.bars.work("battles", self._ended, self._size, f", {self._turns} turns")

    def cost(self, usd: float) -> None:
        self.bars.cost(usd)


def _battle_words(name: str, payload: dict[str, Any]) -> str:
    persona = payload.get("persona_id", "?")
    if name == "battle_failed":
        return f"{persona}: {payload.get('status', 'failed')}: {payload.get('error')}"
    scores = payload["scores"]
    score, ended = scores["score"], scores["ended_by"]
    words = "unscored" if score is None else f"{score:.0f} of 100"
    spoiled = ", spoiled: the persona fell out of its role" if scores.get("spoiled") else ""
    return f"{persona}: {words}{f', ended by {ended}' if ended else ''}{spoiled}"


def _percent(score: float | None) -> str:
    return "-" if score is None else f"{score:.1%}"


class JudgeView:
    """Progress of a judge that is asked about `total` labelled cases."""

    def __init__(self, console: Console, *, total: int, budget_usd: float | None) -> None:
        self.bars = _Bars(console, budget_usd)
        self._total = total
        self._done = 0

    def event(self, name: str, payload: dict[str, Any]) -> None:
        self._done += name == "judge_progress"
        self.bars.work("judging", self._done, self._total)

    def cost(self, usd: float) -> None:
        self.bars.cost(usd)


class ScanView:
    """Progress of a scout: it writes no events, so only its cost moves."""

    def __init__(self, console: Console) -> None:
        self.bars = _Bars(console, None)
        self.bars.work("looking for breakthroughs", 0, None)

    def event(self, name: str, payload: dict[str, Any]) -> None:
        self.bars.line(f"  {name}")

    def cost(self, usd: float) -> None:
        self.bars.cost(usd)
