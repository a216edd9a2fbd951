"""The comparison with other libraries: what its table says of its measurements."""

from __future__ import annotations

from typing import Any

from tests.bench.peers.table import medians, ratios, table


def measured(library: str, loop: float, process: float = 10.0) -> dict[str, Any]:
    return {
        "library": library,
        "loop": {"wall_s": loop, "cpu_s": loop / 10, "children_cpu_s": loop / 10},
        "process": {"wall_s": process, "cpu_s": process / 2, "peak_mib": 100.0},
    }


ROUNDS = [
    *(measured("ours", 10.5), measured("theirs", 10.0, process=4.0)),
    *(measured("ours", 99.0), measured("theirs", 10.0, process=5.0)),
    *(measured("ours", 10.4), measured("theirs", 9.0, process=6.0)),
]


def test_each_figure_is_the_median_of_its_rounds() -> None:
    assert medians(ROUNDS) == {
        "ours": [10.5, 2.1, 10.0, 5.0, 100.0],
        "theirs": [10.0, 2.0, 5.0, 2.5, 100.0],
    }


def test_a_ratio_is_to_the_least_of_its_column() -> None:
    assert ratios({"a": [3.0, 1.0], "b": [2.0, 4.0], "c": [2.0, 2.0]}) == {
        "a": [1.5, 1.0],
        "b": [1.0, 4.0],
        "c": [1.0, 2.0],
    }


def test_the_table_shows_medians_and_ratios() -> None:
    header, rule, ours, theirs = table(ROUNDS).splitlines()
    assert header.count("|") == rule.count("|") == ours.count("|") == 7
    assert ours.startswith("| ours | 10.50 s (1.05) | 2.10 s (1.05) | 10.0 s (2.00) |")
    assert theirs.endswith("| 5.0 s (1.00) | 2.5 s (1.00) | 100 MiB (1.00) |")
