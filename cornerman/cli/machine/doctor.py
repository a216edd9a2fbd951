"""What `cornerman doctor` tries out: database, Prefect, prices, messages.

`cornerman doctor`: every setting, where it came from, and whether everything can work.
"""

from __future__ import annotations

import base64
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, get_args

from rich.text import Text

from cornerman.cli.output import FAILED, Out
from cornerman.cli.store import JsonOption
from cornerman.domain.errors import CornermanError

if TYPE_CHECKING:
    from cornerman.settings import SettingReport, Settings
    from cornerman.storage.database import Database


OK, WARNING, PROBLEM = "ok", "warning", "problem"

_PREFECT_SECONDS = 3.0


@dataclass(frozen=True)
class Check:
    """One thing that was tried; `level` is `ok`, `warning` or `problem`."""

    name: str
    level: str
    message: str
    fix: str = ""


def check_everything(settings: Settings) -> list[Check]:
    """Try everything that can be tried for free."""
    return [
        *_database(settings),
        *_prefect(settings),
        *_prices(settings),
        Check("models", OK, _models(settings)),
    ]


def _database(settings: Settings) -> Iterator[Check]:
    from cornerman.storage.database import Database

    try:
        db = Database(settings.database_url().url.get_secret_value())
    except CornermanError as error:
        yield Check("database", PROBLEM, error.message, error.hint)
        return
    try:
        schema = _schema(db)
        yield schema
        if schema.level == OK:
            yield _messages(settings, db)
            yield _kill_switch(db)
            yield from _thinking(settings, db)
    except CornermanError as error:
        yield Check("database", PROBLEM, error.message, error.hint)
    finally:
        db.close()


def _schema(db: Database) -> Check:
    from cornerman.storage.database.migrate import current_revision, head_revision

    address = db.engine.url.render_as_string(hide_password=True)
    current, head = current_revision(db), head_revision()
    if current == head:
        return Check("database", OK, f"{address} answers, at revision {head}.")
    if current is None:
        message = f"{address} answers and is empty; the first run sets it up."
        return Check("database", WARNING, message, "Type: cornerman db upgrade")
    message = f"{address} is at revision {current}; this version works with {head}."
    return Check("database", PROBLEM, message, "Type: cornerman db upgrade")


def _messages(settings: Settings, db: Database) -> Check:
    from cornerman.storage.notifications import read_notifications

    with db.reading() as session:
        told = read_notifications(session)
    place = "the console" if settings.slack_webhook_url is None else "Slack"
    if told and told[0]["status"] == "failed":
        message = f"Failed to notify {place}: {told[0]['error']}"
        return Check("messages", WARNING, message, "Check SLACK_WEBHOOK_URL; it is tried again.")
    return Check("messages", OK, f"Messages go to {place}; {len(told)} so far.")


def _kill_switch(db: Database) -> Check:
    from cornerman.storage.budgets import read_kill_switch

    with db.reading() as session:
        switch = read_kill_switch(session)
    if not switch.active:
        return Check("kill-switch", OK, "The kill-switch is off.")
    message = f"The kill-switch is on, by {switch.by}: {switch.reason}"
    fix = "No paid call is started. Look into the reason, then: cornerman kill-switch off"
    return Check("kill-switch", PROBLEM, message, fix)


def _prefect(settings: Settings) -> Iterator[Check]:
    url = settings.prefect_api_url
    if url is None:
        yield _embedded(settings)
        yield _limits(settings, None)
        return
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=_PREFECT_SECONDS):  # noqa: S310
            yield Check("prefect", OK, f"The server at {url} answers.")
        yield _limits(settings, url)
    except (urllib.error.URLError, OSError, ValueError) as error:
        fix = "Start it with: cornerman serve, or prefect server start; or unset PREFECT_API_URL."
        yield Check("prefect", PROBLEM, f"The server at {url} does not answer: {error}", fix)


def _embedded(settings: Settings) -> Check:
    """The server that commands share, where PREFECT_API_URL names none."""
    from cornerman.flows.plumbing.home_server import ServerHome, answers

    unset = "PREFECT_API_URL is not set"
    if settings.prefect_idle_seconds == 0:
        return Check("prefect", OK, f"{unset}: each command starts a server of its own.")
    found = ServerHome(settings.home).living()
    if not found:
        return Check("prefect", OK, f"{unset}: the next run starts an embedded server.")
    shown: list[str] = []
    for folder, record in found:
        use = "used now" if folder.is_used else f"ends after {folder.idle_seconds():g} s unused"
        shown.append(f"pid {record.pid}, port {record.port}, {record.version}, {use}")
        if record.ready and not answers(record):
            message = f"The embedded server does not answer ({shown[-1]})."
            return Check("prefect", WARNING, message, "The next run starts another.")
    return Check("prefect", OK, f"{unset}: runs share an embedded server ({'; '.join(shown)}).")


def _limits(settings: Settings, url: str | None) -> Check:
    """What holds cases to so many at once over all processes."""
    most = settings.max_concurrent_cases
    held = f"At most {most} cases run at once, over all runs of this database"
    try:
        if url is None:
            return Check("limits", OK, f"{held}: held by leases in it.")
        request = _with_key(settings, url, "concurrency_limits/tag/agent-case")
        with urllib.request.urlopen(request, timeout=_PREFECT_SECONDS):  # noqa: S310
            return Check("limits", OK, f"{held}: held by leases in it and Prefect's tag limits.")
    except urllib.error.HTTPError as error:
        if error.code == HTTPStatus.UNAUTHORIZED:
            from cornerman.settings import KEY_HINT

            return Check("prefect", PROBLEM, f"The server at {url} asks for its key.", KEY_HINT)
        message = f"{held}: held by leases in it; the Prefect server has no limits by tag."
        return Check("limits", OK, f"{message} cornerman deploy makes them on PostgreSQL.")


def _with_key(settings: Settings, url: str, path: str) -> urllib.request.Request:
    """A question to Prefect's API, with the key that the server may ask for."""
    from cornerman.settings import CLIENT_KEY, adopt_key, child_environment

    request = urllib.request.Request(f"{url}/{path}")  # noqa: S310 - an address of the settings
    environment = child_environment()
    adopt_key(settings.home, url, environment)
    if key := environment.get(CLIENT_KEY):
        word = base64.b64encode(key.encode()).decode()
        request.add_header("Authorization", f"Basic {word}")
    return request


def _prices(settings: Settings) -> Iterator[Check]:
    from cornerman.clients.prices import PriceBook
    from cornerman.domain.money.ledger import Role

    book = PriceBook(settings.model_prices, base_url=settings.openai_base_url)
    for model in dict.fromkeys(settings.model_for(role) for role in get_args(Role)):
        try:
            source = book.require(model).source
        except CornermanError as error:
            yield Check("prices", PROBLEM, error.message, error.hint)
        else:
            yield Check("prices", OK, f"{model} is priced by {source}.")


def _models(settings: Settings) -> str:
    if settings.simulated:
        return "The rehearsal endpoint answers; everything that it says is simulated."
    return f"Models answer at {settings.openai_base_url or 'OpenAI'}."


def _thinking(settings: Settings, db: Database) -> Iterator[Check]:
    """What runs have learned of models that think before they answer."""
    from cornerman.clients.llm_types import endpoint_name
    from cornerman.storage.output_limits import read_output_limits

    name = endpoint_name(settings.openai_base_url, simulated=settings.simulated)
    with db.reading() as session:
        needed = read_output_limits(session, name)
    most = settings.max_output_tokens
    for model, tokens in sorted(needed.items()):
        text = f"{model} has needed room for {tokens:,} tokens before its text came"
        if tokens <= most:
            yield Check("models", OK, f"{text}; it is asked with it at once.")
        else:
            fix = f"Raise MAX_OUTPUT_TOKENS to {tokens}, or lower the model's reasoning_effort."
            yield Check("models", WARNING, f"{text}; MAX_OUTPUT_TOKENS is {most:,}.", fix)


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
