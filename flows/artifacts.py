"""What the Prefect UI shows of a run besides its tasks: progress, curve, figures, a link."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
from collections.abc import AsyncGenerator
from typing import Any

from cornerman.flows.engine import open_database
from cornerman.storage import runs
from cornerman.storage.engine import Database
from cornerman.tasks.report import build_report
from prefect.artifacts import (
    acreate_link_artifact,
    acreate_markdown_artifact,
    acreate_progress_artifact,
    acreate_table_artifact,
    aupdate_progress_artifact,
)

from cornerman.domain.runs import Run
from cornerman.report.markdown import (
    batch_markdown,
    batch_rows,
    training_markdown,
    training_rows,
)
from cornerman.settings import get_settings

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 3.0
_LAST_LOOK_SECONDS = 3.0


def artifact_key(*parts: str) -> str:
    """A key as Prefect wants it: small letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


@contextlib.asynccontextmanager
async def progress_shown(run_id: str) -> AsyncGenerator[None]:
    """Keep a progress artifact of a run up to date; what goes wrong with it is only logged."""
    async with open_database() as db:
        progress = _Progress(db, run_id)
        watching = asyncio.create_task(progress.follow(), name=f"progress-{run_id}")
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            # Where the run ended, which is later than the last look.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(progress.show(), _LAST_LOOK_SECONDS)


class _Progress:
    """The progress artifact of one run, created once there is such a run."""

    def __init__(self, db: Database, run_id: str) -> None:
        self._db = db
        self._run_id = run_id
        self._artifact: Any = None

    async def follow(self) -> None:
        """Show how far the run is until cancelled."""
        while True:
            await self.show()
            await asyncio.sleep(PROGRESS_SECONDS)

    async def show(self) -> None:
        """Show how far the run is now."""
        try:
            run = await self._db.read(runs.read_run, self._run_id)
            if run is not None:
                await self._put(run)
        except Exception as error:  # noqa: BLE001 - the run matters more than its picture
            log.warning("The progress of run %s cannot be shown: %s", self._run_id, error)

    async def _put(self, run: Run) -> None:
        percent = progress_percent(run)
        if self._artifact is None:
            key = artifact_key("progress", run.kind, run.workflow_id)
            made = acreate_progress_artifact(percent, key=key, description=f"Run {run.id}")
            self._artifact = await made
        else:
            await aupdate_progress_artifact(self._artifact, percent)


def progress_percent(run: Run) -> float:
    """How far a run is, 0 to 100, by its own figures."""
    figures = run.metrics
    if run.finished:
        return 100.0
    if run.kind == "train":
        done, total = figures.get("epoch", 0), run.request.get("optimizer", {}).get("epochs", 0)
    else:
        done, total = figures.get("battles_done", 0), figures.get("battles_total", 0)
    return round(min(100.0, 100 * done / total), 1) if total else 0.0


async def publish(run_id: str) -> None:
    """Create the artifacts of a run that ended; what goes wrong with them is only logged."""
    try:
        async with open_database() as db:
            run = await db.read(runs.read_run, run_id)
            if run is not None and run.kind != "scout":
                await _publish(db, run)
    except Exception:
        log.exception("The artifacts of run %s were not created", run_id)


async def _publish(db: Database, run: Run) -> None:
    report = await build_report(db, run.id)
    if report.training is not None:
        text = training_markdown(report.training, simulated=report.simulated)
        rows, name = training_rows(report.training), "learning-curve"
    elif report.battles is not None:
        text = batch_markdown(report.battles, simulated=report.simulated)
        rows, name = batch_rows(report.battles), "battle-batch"
    else:
        return
    key = artifact_key(name, run.workflow_id)
    await acreate_markdown_artifact(text, key=key, description=f"Run {run.id}")
    await acreate_table_artifact(
        json.loads(json.dumps(rows)), key=f"{key}-table", description=f"Run {run.id}"
    )
    address = get_settings().next_public_app_url
    if address is not None:
        link = f"{address}/admin/training-monitor"
        await acreate_link_artifact(
            link, link_text="Training monitor", key="training-monitor", description="Watch it live"
        )
