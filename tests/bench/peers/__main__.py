"""`make bench-peers`: the same cases through Cornerman and through other evaluation libraries.

In each round every library runs once, in a process of its own and on a stand-in of its own that
answers after a fixed time, so that what disturbs the machine disturbs all of them. `ARGS=--write`
renews docs/peers.md. `ARGS="--into FILE"` keeps the measurements, and adds to those that are there.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.bench.peers.apart import measure
from tests.bench.peers.libraries import LIBRARIES
from tests.bench.peers.page import PAGE, page
from tests.bench.peers.table import medians, ratios, table

# How much longer than the fastest library's our loop may take.
MOST_TIMES = 1.05
_WARM_UP_CASES = 8


def _round(number: int, homes: Path, cases: int, seconds: float) -> list[dict[str, Any]]:
    """Measure each library once; another one begins each round."""
    names = list(LIBRARIES)
    first = number % len(names)
    found = list[dict[str, Any]]()
    for library in names[first:] + names[:first]:
        home = homes / library
        if not home.exists():
            home.mkdir()
            # Bytecode, empty databases and the like are there from the second start on.
            measure(library, home, cases=_WARM_UP_CASES, seconds=seconds)
        measured = measure(library, home, cases=cases, seconds=seconds)
        found.append(measured | {"cases": cases, "seconds": seconds})
        loop, process = measured["loop"]["wall_s"], measured["process"]["wall_s"]
        line = f"round {number + 1}: {library} {loop:.2f} s, process {process:.1f} s"
        print(line, file=sys.stderr, flush=True)
    return found


def main() -> None:
    """Measure and print the table; exit 1 when our loop's wall is not near the fastest one's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=0.5, help="An answer's time.")
    parser.add_argument("--into", type=Path, help="A file of measurements to add to.")
    parser.add_argument("--write", action="store_true", help="Renew docs/peers.md.")
    given = parser.parse_args()
    kept = given.into.read_text().splitlines() if given.into and given.into.exists() else []
    measurements = [json.loads(line) for line in kept]
    begun = len(measurements) // len(LIBRARIES)
    with tempfile.TemporaryDirectory() as homes:
        for number in range(begun, begun + given.rounds):
            measurements += _round(number, Path(homes), given.cases, given.seconds)
            if given.into:
                given.into.write_text("".join(json.dumps(m) + "\n" for m in measurements))
    plans = {(m["cases"], m["seconds"]) for m in measurements}
    if len(plans) != 1:
        raise SystemExit(f"{given.into} holds measurements of {len(plans)} plans: {sorted(plans)}")
    measurements.sort(key=lambda m: list(LIBRARIES).index(m["library"]))
    print(table(measurements))
    if given.write:
        PAGE.write_text(page(measurements))
    times = ratios(medians(measurements))["cornerman"][0]
    sys.exit(1 if times > MOST_TIMES else 0)


if __name__ == "__main__":
    main()
