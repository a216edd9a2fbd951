"""The live page: its documents, its files, and the comparison that it asks for.

What the page reads (`static/js/shapes.js` takes each in; a missing or null field is "not known"):

- `/api/monitor/summary?workflow=W`: `{workflow_id, workflows: [id], simulated, kill_switch,
  battles, average_score: {value, low, high, n}, budgets: {batch, day, run: {limit_usd, spent_usd,
  reserved_usd}}, breakthroughs: {pending_review, reviewed, promoted, rejected}, runs: [run]}`
- `/api/monitor/battles?workflow=W`: `{battles: [battle], batches: [{id, average_score: {value, low,
  high, n}, created_at, simulated}]}`; a battle is `Battle` with `persona_name`, newest first
- `/api/battles/{id}`: a battle with `turns`
- `/api/monitor/training/W`: `{run, epochs: [training_epoch_complete's payload], latest:
  [training_progress's payload], newest first}`
- `/api/monitor/diff/W?before=ID&after=ID`: as `diff_checkpoints`
- `/api/ratings/W`: `{ratings: [{kind, id, name, rating, low, high, battles}]}`
- `/api/personas/W`: `{personas: [{id, name, active, difficulty, battles, mean_score, low, high,
  walk_aways, sub_scores: {name: mean}}]}`
- `/api/breakthroughs?workflow=W`: `{breakthroughs: [Breakthrough]}`, newest first
- `POST /api/breakthroughs/{id}/state` takes `{state, reason}`
- `PUT /api/kill-switch` takes `{active, reason}`
- `/api/monitor/stream?after=ID`: server-sent events, `data` as in `/api/runs/{id}/events` with
  `run_id`, `workflow_id`, `simulated`; its `id` is what `after` and Last-Event-ID take
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

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


# Only the gateway's own files run or style; no text can become markup, whatever it holds.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)


def render_page(
    *,
    csrf_token: str = "",
    workflow: str = "",
    can_sign_out: bool = True,
    has_prefect: bool = False,
) -> str:
    """Render the monitor.

    Args:
        csrf_token: What the page's scripts send as `X-CSRF-Token` with every change.
        workflow: Shown first; empty: the one that was worked on last.
        can_sign_out: Whether there is a session to end; false when the gateway is open locally.
        has_prefect: Whether `/admin/prefect` leads anywhere.
    """
    return _render(
        "monitor.html",
        csrf_token=csrf_token,
        workflow=workflow,
        can_sign_out=can_sign_out,
        has_prefect=has_prefect,
    )


def render_login(*, error: str = "", is_configured: bool = True) -> str:
    """Render the page that asks for the API token, or says how to set one.

    Args:
        error: Why the last try failed, in a sentence; empty at the first.
        is_configured: Whether the settings hold a token that one could sign in with.
    """
    return _render("login.html", error=error, is_configured=is_configured)


def _render(name: str, **values: object) -> str:
    base = f"/admin/static/{static_version()}"
    return _environment().get_template(name).render(base=base, **values)


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
