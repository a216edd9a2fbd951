"""The comparison's table: medians over the rounds, and how many times the least each one is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

Measurement = Mapping[str, Any]

# (heading, part of a measurement, figures that are added up, format)
COLUMNS = (
    ("loop, wall", "loop", ("wall_s",), "{:.2f} s"),
    ("loop, CPU", "loop", ("cpu_s", "children_cpu_s"), "{:.2f} s"),
    ("process, wall", "process", ("wall_s",), "{:.1f} s"),
    ("process, CPU", "process", ("cpu_s",), "{:.1f} s"),
    ("peak memory", "process", ("peak_mib",), "{:.0f} MiB"),
)


def medians(measurements: Sequence[Measurement]) -> dict[str, list[float]]:
    """Each library's median of every column, in the order in which libraries were first seen."""
    libraries = dict.fromkeys(m["library"] for m in measurements)
    return {
        library: [
            median(
                sum(m[part][figure] for figure in figures)
                for m in measurements
                if m["library"] == library
            )
            for _, part, figures, _ in COLUMNS
        ]
        for library in libraries
    }


def ratios(rows: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """How many times its column's least each figure is."""
    least = [min(column) for column in zip(*rows.values(), strict=True)]
    return {
        library: [figure / low for figure, low in zip(figures, least, strict=True)]
        for library, figures in rows.items()
    }


def table(measurements: Sequence[Measurement]) -> str:
    """A Markdown table of medians, each with its ratio to the column's least in parentheses."""
    rows = medians(measurements)
    times = ratios(rows)
    lines = [
        "| library | " + " | ".join(heading for heading, *_ in COLUMNS) + " |",
        "|---|" + "---|" * len(COLUMNS),
    ]
    for library, figures in rows.items():
        cells = [
            f"{form.format(figure)} ({ratio:.2f})"
            for (*_, form), figure, ratio in zip(COLUMNS, figures, times[library], strict=True)
        ]
        lines.append(f"| {library} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
