"""`cornerman demo`: one training run and one battle batch, in a database of their own."""

from __future__ import annotations

import asyncio
import time
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cornerman.cli.output import Out, score_text, shown, usd
from cornerman.cli.store import JsonOption
from cornerman.domain.errors import BadInputError

if TYPE_CHECKING:
    from cornerman.domain.battles.ratings import Rating
    from cornerman.settings import Settings
    from cornerman.storage.database import Database

EXAMPLE = "triage.yaml"
WORKFLOW = "negotiation"
BATTLES = 5
PAGE = "cornerman-demo.html"

# Everything that would make a demonstration real, slow, or somebody else's business.
_UNSET = (
    "local_db_url",
    "supabase_sandbox_url",
    "sandbox_supabase_url",
    "next_public_supabase_url",
    "slack_webhook_url",
)
_UNSET_MODELS = (
    "openai_base_url",
    "sandbox_openai_api_key",
    "openai_api_key",
    "agent_model",
    "persona_model",
    "referee_model",
    "optimizer_model",
)


def demo(
    real: Annotated[
        bool, typer.Option("--real", help="Ask the configured models; this costs money.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Train for three epochs, battle five times, and write a report; simulated, and free."""
    from cornerman.settings import get_settings, use_settings

    began, out = time.monotonic(), Out(json)
    given = get_settings()
    if real and given.simulated:
        raise BadInputError(
            "--real needs a key or an address of models; neither is set.",
            field="SANDBOX_OPENAI_API_KEY",
            hint="Set SANDBOX_OPENAI_API_KEY or OPENAI_BASE_URL, or leave --real out.",
        )
    if not real and not given.simulated:
        out.note("A key or an address is set; the demo leaves it alone. With --real it is used.")
    from cornerman.flows.plumbing.embedded_client import begin_early

    # Before the demo's settings hold: the server is the one that all commands share.
    begin_early()
    settings = demo_settings(given, real=real)
    use_settings(settings)
    document = asyncio.run(_run(settings, out))
    document["seconds"] = round(time.monotonic() - began, 1)
    out.document(document)
    _print(out, document, settings)


def demo_settings(settings: Settings, *, real: bool) -> Settings:
    """The settings with a database of the demo's own and, unless `real`, without any model."""
    changed: dict[str, Any] = dict.fromkeys(_UNSET)
    if not real:
        changed |= dict.fromkeys(_UNSET_MODELS)
        changed["delay_between_battles_ms"] = 0
    changed |= {"cornerman_home": settings.home / "demo", "use_local_db": False}
    return settings.model_copy(update=changed)


async def _run(settings: Settings, out: Out) -> dict[str, Any]:
    from cornerman.cli.commands.battle import new_batch, run_batch
    from cornerman.cli.commands.train import new_run, run_training
    from cornerman.cli.store import database
    from cornerman.flows.plumbing.embedded import prefect_ready
    from cornerman.storage.database import migrate

    with database(any_schema=True) as db:
        migrate.upgrade(db)
        parameters = new_run(str(files("cornerman").joinpath("examples", EXAMPLE)), None)
        # Held open around both, so that the server is started once.
        async with prefect_ready():
            trained = await run_training(parameters, out)
            batch = await run_batch(new_batch(workflow_id=WORKFLOW, batch_size=BATTLES), out)
        page = await _write_page(db, settings, trained["run_id"], batch["batchId"])
        with db.reading() as session:
            document = _document(session, trained, batch, page)
    return document


async def _write_page(db: Database, settings: Settings, *run_ids: str) -> Path:
    from cornerman.cli.commands.report import write_report

    path = Path.cwd() / PAGE
    try:
        await write_report(db, path, *run_ids)
    except OSError:
        # The folder may be read-only; the home is ours.
        path = settings.home / PAGE
        await write_report(db, path, *run_ids)
    return path


def _document(
    session: Any, trained: dict[str, Any], batch: dict[str, Any], page: Path
) -> dict[str, Any]:
    from cornerman.cli.commands.train import training_document
    from cornerman.storage.personas import read_personas
    from cornerman.storage.ratings import read_ratings

    names = {persona.id: persona.name for persona in read_personas(session, WORKFLOW)}
    rated = read_ratings(session, WORKFLOW, batch_id=batch["batchId"])
    return {
        "simulated": trained["simulated"],
        "training": training_document(trained),
        "battle": batch,
        "ratings": [_rating(rating, names) for rating in rated],
        "cost_usd": trained["cost_usd"] + batch["totalCost"],
        "report": str(page),
    }


def _rating(rating: Rating, names: dict[str, str]) -> dict[str, Any]:
    return vars(rating) | {"name": names.get(rating.id, rating.id)}


def _print(out: Out, document: dict[str, Any], settings: Settings) -> None:
    trained, batch = document["training"], document["battle"]
    best = trained["best_checkpoint"]
    said = "simulated: no language model was asked" if document["simulated"] else "real models"
    out.say(f"\nDone in {document['seconds']:.0f} seconds ({said}).", style="bold")
    out.say(f"  Test before      {score_text(trained['seed_test_score'])}")
    out.say(f"  Test after       {score_text(trained['test_score'])}")
    if best is not None:
        out.say(f"  Best checkpoint  {best['id'][:8]}, version {best['config_version']}")
    done = f"{batch['battlesCompleted']} of {len(batch['battles'])}"
    out.say(f"  Battles          {done}, average {shown(batch['averageScore'])} of 100")
    play = ", play money" if document["simulated"] else ""
    out.say(f"  Cost             {usd(document['cost_usd'])}{play}")
    out.table(
        ("rating", "who", "", "95% interval", "battles"),
        [
            (
                f"{one['rating']:.0f}",
                one["name"],
                one["kind"],
                f"{one['low']:.0f} to {one['high']:.0f}",
                one["battles"],
            )
            for one in document["ratings"]
        ],
    )
    out.say(f"Report: {document['report']}", style="bold")
    out.say("Next:")
    home = settings.home
    out.say(f"  CORNERMAN_HOME={home} cornerman checkpoints list triage   what was learned")
    out.say("  cornerman train SPEC                                     your own, see the examples")
    out.say("  cornerman doctor                                         what is set, what is not")
