"""`cornerman doctor`: every setting, where it came from, and whether everything can work."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.text import Text

from cornerman.cli.failures import FAILED
from cornerman.cli.health import OK, PROBLEM, WARNING, Check, check_everything
from cornerman.cli.options import JsonOption
from cornerman.cli.output import Out

if TYPE_CHECKING:
    from cornerman.settings import SettingReport

_STYLES = {OK: "green", WARNING: "yellow", PROBLEM: "bold red"}
# Only the gateway needs them; without it everything else works.
_GATEWAY_ONLY = frozenset({"CRON_SECRET", "API_TOKEN"})


def doctor(json: JsonOption = False) -> int:
    """Explain each setting, say what is wrong and what mends it.

    Exits with 1 when something cannot work.
    """
    from cornerman.domain.errors import SettingsError
    from cornerman.settings import explain, load_settings

    out = Out(json)
    try:
        settings = load_settings()
    except SettingsError as error:
        reports, checks = explain(error), [Check("settings", PROBLEM, error.message, error.hint)]
    else:
        reports, checks = explain(settings), check_everything(settings)
    levels = {report.name: _level(report) for report in reports}
    healthy = PROBLEM not in {*levels.values(), *(check.level for check in checks)}
    out.document(
        {
            "ok": healthy,
            "settings": [asdict(report) | {"level": levels[report.name]} for report in reports],
            "checks": [asdict(check) for check in checks],
        }
    )
    if not json:
        _print(out, reports, levels, checks, healthy=healthy)
    return 0 if healthy else FAILED


def _level(report: SettingReport) -> str:
    if report.ok:
        return WARNING if report.problem else OK
    return WARNING if report.name in _GATEWAY_ONLY else PROBLEM


def _print(
    out: Out,
    reports: list[SettingReport],
    levels: dict[str, str],
    checks: list[Check],
    *,
    healthy: bool,
) -> None:
    out.table(
        ("setting", "value", "from", "what it is"),
        [
            (
                Text(report.name, style=_STYLES[levels[report.name]]),
                report.value_shown or "-",
                report.source,
                report.description,
            )
            for report in reports
        ],
    )
    remarks = [
        Check(report.name, levels[report.name], report.problem, report.fix)
        for report in reports
        if report.problem
    ]
    for check in [*remarks, *checks]:
        out.say(f"{check.level:>7}  {check.name}: {check.message}", style=_STYLES[check.level])
        if check.fix and check.level != OK:
            for line in check.fix.splitlines():
                out.say(f"         {line}")
    out.say("Everything can work." if healthy else "Something cannot work.", style="bold")
