"""`make bench`: how close the evaluation loop comes to the ideal, ledger, events and rows included.

Each line is one training run of one epoch in a process of its own, on the embedded Prefect
server and SQLite, against a stand-in endpoint that answers after a fixed time. The figure is the
ideal time (cases x seconds / 8) over the time from the first case's start to the last case's end.
"""

from __future__ import annotations

import argparse
import sys

from tests.bench.training_load import run_apart

# (cases, seconds each, least share of the ideal)
PLANS = ((64, 1.0, 0.92), (400, 0.2, 0.75))


def main() -> None:
    """Run the plans and print a table; exit 1 when one falls short."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    print("cases  each   ideal    wall  of ideal  at least     CPU  growth once warm   peak")
    short = False
    for cases, seconds, least in PLANS:
        found = run_apart(cases, seconds)
        short |= found["of_ideal"] < least
        print(
            f"{cases:5d} {seconds:4.1f}s {found['ideal_s']:6.1f}s {found['wall_s']:6.2f}s "
            f"{found['of_ideal']:9.3f} {least:9.2f} {found['cpu_s']:6.2f}s "
            f"{found['growth_mib']:12.1f} MiB {found['peak_mib']:5.0f} MiB",
            flush=True,
        )
    sys.exit(1 if short else 0)


if __name__ == "__main__":
    main()
