"""The process of one run: `python -m cornerman.runner train --run-id ID`.

`python -m cornerman.runner --ready DESCRIPTOR` imports everything and waits to be given its run.
"""

from __future__ import annotations

import argparse

from cornerman.domain.aio import leave_process
from cornerman.flows.plumbing.embedded_client import begin_early


def main() -> int:
    """Read the command line and work."""
    parser = argparse.ArgumentParser(prog="python -m cornerman.runner", description=__doc__)
    parser.add_argument(
        "kind", nargs="?", choices=["train", "evaluate", "battle", "scout", "promote"]
    )
    parser.add_argument("--run-id")
    parser.add_argument("--ready", type=int, metavar="DESCRIPTOR")
    given = parser.parse_args()
    if given.ready is None and (given.kind is None or given.run_id is None):
        parser.error("KIND and --run-id are needed.")
    # First of all: the server starts while this process imports what it needs.
    begin_early()
    if given.ready is not None:
        from cornerman.runner.ready import wait_for_run

        return wait_for_run(given.ready)
    from cornerman.runner.work import run

    return run(given.kind, given.run_id)


if __name__ == "__main__":
    leave_process(main())
