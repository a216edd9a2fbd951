"""The page's files: read once, served under a path that names their content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cornerman.report

_HERE = Path(__file__).parent / "static"
_REPORT = Path(cornerman.report.__file__).parent
# What the page has in common with the report: the look, the charts, and the chart library.
_SHARED = (
    "assets/report.css",
    "assets/charts.js",
    "vendor/uPlot.iife.min.js",
    "vendor/uPlot.min.css",
)
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}


@dataclass(frozen=True)
class StaticFile:
    """One file as it goes out."""

    content: bytes
    media_type: str


@cache
def static_files() -> dict[str, StaticFile]:
    """Every file by its name below `/admin/static/VERSION/`; nothing else can be asked for."""
    paths = {p.relative_to(_HERE).as_posix(): p for p in _HERE.rglob("*") if p.suffix in _TYPES}
    paths |= {f"report/{Path(name).name}": _REPORT / name for name in _SHARED}
    return {
        name: StaticFile(path.read_bytes(), _TYPES[path.suffix])
        for name, path in sorted(paths.items())
    }


@cache
def static_version() -> str:
    """A name for the content of all files, so that browsers may keep them for ever.

    It stands in the path and not behind it, so that the modules' imports of each other carry it.
    """
    digest = hashlib.sha256()
    for name, file in static_files().items():
        digest.update(name.encode() + b"\0" + file.content)
    return digest.hexdigest()[:16]
