"""Looks after the processes of this machine's runs, whoever started them and when."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from cornerman.domain.runs import Run
from cornerman.flows.plumbing.processes import is_gone
from cornerman.runner import launches
from cornerman.runner.launches import Launch, LaunchFolder
from cornerman.runner.overdue import end_overdue
from cornerman.runner.start import finish_cancelled, finish_unstarted
from cornerman.storage import runs
from cornerman.storage.database import Database

log = logging.getLogger(__name__)

MOST_RESTARTS = 3
_LOOK_SECONDS = 0.5


class Supervisor:
    """Starts runs again whose process died, at most three times each.

    Only runs that were started through this package are looked after: one that a person started
    in a terminal ends with that terminal, and is for the person to resume.
    """

    def __init__(self, db: Database, folder: LaunchFolder) -> None:
        self._db = db
        self._folder = folder

    async def run_forever(self) -> None:
        """Look after all launches until cancelled."""
        while True:
            try:
                await self.look()
            except Exception:
                # A database that is away for a minute must not end the watch.
                log.exception("Looking after runs failed; it is tried again")
            await asyncio.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """Look at each launch once."""
        launches.collect_children()
        await end_overdue(self._db)
        for run_id in await asyncio.to_thread(self._folder.run_ids):
            run = await self._db.read(runs.read_run, run_id)
            if run is None or run.finished:
                await asyncio.to_thread(self._forget, run_id)
            elif not await asyncio.to_thread(self._folder.has_process, run_id):
                await self._revive(run)

    async def _revive(self, run: Run) -> None:
        launch = await asyncio.to_thread(self._folder.read, run.id)
        if launch is None:
            return
        if run.cancel_requested_at is not None:
            await self._db.write(finish_cancelled, run.id)
        elif run.status == "running" and runs.is_alive(run) and not _lost(run):
            return  # another process may hold it, such as one that a person started
        elif launch.starts > MOST_RESTARTS:
            await self._db.write(finish_unstarted, run.id, self._gave_up(launch))
        else:
            log.warning("Run %s lost its process; starting it again (%d)", run.id, launch.starts)
            await asyncio.to_thread(launches.start_process, self._folder, launch)

    def _forget(self, run_id: str) -> None:
        if not self._folder.has_process(run_id):
            self._folder.remove(run_id)

    def _gave_up(self, launch: Launch) -> dict[str, Any]:
        return {
            "type": "ProcessDied",
            "message": f"Its process died {launch.starts} times.",
            "hint": f"See {self._folder.log_path(launch.run_id)}",
        }


def _lost(run: Run) -> bool:
    """Whether the process that the run belongs to is known to have ended, however lately."""
    return run.owner is not None and is_gone(run.owner)
