"""Starts runs for the gateway and the command line; no run works in the process that starts it.

With a Prefect server set, a run is a flow run of a deployment. Without one it is a process of its
own that outlives whoever started it, and that a `Supervisor` starts again when it dies.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cornerman.runner.case_requests import (
        create_evaluation_run,
        create_training_run,
        dataset_folders,
    )
    from cornerman.runner.launches import LaunchFolder
    from cornerman.runner.requests import (
        create_batch_run,
        create_scout_run,
        start_promotion,
    )
    from cornerman.runner.start import cancel_run, start_run
    from cornerman.runner.supervisor import Supervisor

__all__ = [
    "LaunchFolder",
    "Supervisor",
    "cancel_run",
    "create_batch_run",
    "create_evaluation_run",
    "create_scout_run",
    "create_training_run",
    "dataset_folders",
    "start_promotion",
    "start_run",
]

_WHERE = {
    "LaunchFolder": "launches",
    "Supervisor": "supervisor",
    "cancel_run": "start",
    "create_evaluation_run": "case_requests",
    "create_training_run": "case_requests",
    "dataset_folders": "case_requests",
    "start_run": "start",
}


def __getattr__(name: str) -> Any:
    # A run's own process comes through here too, and begins its server before it imports more.
    if name not in __all__:
        raise AttributeError(f"module 'cornerman.runner' has no attribute {name!r}")
    module = import_module(f"cornerman.runner.{_WHERE.get(name, 'requests')}")
    return getattr(module, name)
