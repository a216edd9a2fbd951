"""A run as a process of this machine, in a session of its own."""

from __future__ import annotations

import subprocess
import sys

from cornerman.runner.launches import Launch, LaunchFolder, LaunchKind

# Kept so that children that ended are collected; whether one lives is told by its lock.
_children: list[subprocess.Popen[bytes]] = []


def collect_children() -> None:
    """Let the system forget processes that ended."""
    _children[:] = [child for child in _children if child.poll() is None]


def start_process(folder: LaunchFolder, launch: Launch) -> bool:
    """Start a process for the run; False when one works on it already."""
    with folder.locked(launch.run_id) as lock:
        if lock is None:
            return False
        # Written before the start, because the process reads its parameters there.
        folder.write(launch)
        with folder.log_path(launch.run_id).open("ab") as log:
            child = subprocess.Popen(
                command(launch.kind, launch.run_id),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(lock,),
                # Away from this process's group: its end, or a Ctrl-C, is not the run's.
                start_new_session=True,
            )
        _children.append(child)
        folder.count_start(launch, child.pid)
    return True


def command(kind: LaunchKind, run_id: str) -> list[str]:
    """What to type to work on a run that was stored; it holds no secret."""
    return [sys.executable, "-m", "cornerman.runner", kind, "--run-id", run_id]
