"""`cornerman demo`: one agent meets five people, trains on battles, and meets them again."""

from __future__ import annotations

import asyncio
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cornerman.cli.output import Out, shown, usd
from cornerman.cli.store import JsonOption
from cornerman.domain.errors import BadInputError

if TYPE_CHECKING:
    from cornerman.domain.battles.ratings import Rating
    from cornerman.settings import Settings
    from cornerman.storage.database import Database

WORKFLOW = "desk"
AGENT = "cornerman.examples.agents.desk_agent"
PEOPLE = 5
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
    """Meet five people, train on battles, meet them again, and write it up; simulated, free."""
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
    changed["evaluator_modules"] = (*settings.evaluator_modules, AGENT)
    return settings.model_copy(update=changed)


async def _run(settings: Settings, out: Out) -> dict[str, Any]:
    from cornerman.cli.commands.battle import new_batch, run_batch
    from cornerman.cli.commands.train import checked_run, run_training
    from cornerman.cli.store import database
    from cornerman.cli.workflow_files import training_on_battles
    from cornerman.flows.plumbing.embedded import prefect_ready
    from cornerman.storage.database import migrate

    with database(any_schema=True) as db:
        migrate.upgrade(db)
        workflow_id = _new_id(db)
        spec = training_on_battles(_workflow(workflow_id), workflow_id)
        training = checked_run(spec, f"train-{uuid.uuid4().hex[:12]}")
        asked = {"workflow_id": workflow_id, "batch_size": PEOPLE, "confirm_breakthroughs": False}
        # Held open around all three, so that the server is started once.
        async with prefect_ready():
            before = await run_batch(new_batch(**asked), out)
            trained = await run_training(training, out)
            after = await run_batch(new_batch(**asked, repeat_of=before["batchId"]), out)
        page = await _write_page(db, settings, trained["run_id"], after["batchId"])
        with db.reading() as session:
            document = _document(session, workflow_id, before, trained, after, page)
    return document


def _new_id(db: Database) -> str:
    """Of a workflow that was never trained: each demonstration begins at the beginning."""
    from cornerman.storage.workflows import read_workflow_ids

    with db.reading() as session:
        known = read_workflow_ids(session)
    numbers = (n for n in range(1, len(known) + 2))
    names = (WORKFLOW if n == 1 else f"{WORKFLOW}-{n}" for n in numbers)
    return next(name for name in names if name not in known)


def _workflow(workflow_id: str) -> dict[str, Any]:
    """A support desk: the built-in scenes and people, and an agent with two tools."""
    from cornerman.workflows import lent_workflow

    document = lent_workflow(
        "support",
        workflow_id=workflow_id,
        name="Support desk",
        agent={"entrypoint": f"{AGENT}:agent"},
        people=PEOPLE,
    )
    optimizer = {"epochs": 3, "case_timeout_seconds": 120, "max_concurrency": 8, "proposals": 3}
    document["training"] = {"battles_per_persona": 4, "optimizer": optimizer}
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
    session: Any,
    workflow_id: str,
    before: dict[str, Any],
    trained: dict[str, Any],
    after: dict[str, Any],
    page: Path,
) -> dict[str, Any]:
    from cornerman.cli.commands.train import training_document
    from cornerman.storage.personas import read_personas
    from cornerman.storage.ratings import read_ratings

    names = {persona.id: persona.name for persona in read_personas(session, workflow_id)}
    rated = read_ratings(session, workflow_id, batch_id=after["batchId"])
    return {
        "simulated": trained["simulated"],
        "workflow_id": workflow_id,
        "before": before,
        "training": training_document(trained),
        "battle": after,
        "ratings": [_rating(rating, names) for rating in rated],
        "cost_usd": before["totalCost"] + trained["cost_usd"] + after["totalCost"],
        "report": str(page),
    }


def _rating(rating: Rating, names: dict[str, str]) -> dict[str, Any]:
    return vars(rating) | {"name": names.get(rating.id, rating.id)}


def _print(out: Out, document: dict[str, Any], settings: Settings) -> None:
    from cornerman.cli.after_training import say_change
    from cornerman.cli.commands.battle import change_words
    from cornerman.cli.store import database
    from cornerman.storage.checkpoints import read_checkpoint

    trained, before, after = document["training"], document["before"], document["battle"]
    best, workflow = trained["best_checkpoint"], document["workflow_id"]
    said = "simulated: no language model was asked" if document["simulated"] else "real models"
    out.say(f"\nDone in {document['seconds']:.0f} seconds ({said}).", style="bold")
    out.say(f"  Met {PEOPLE} people      average {shown(before['averageScore'])} of 100")
    scored = trained["cases"]["scored"]
    validation = None if best is None else best["metrics"].get("validation_score")
    learned_to = f"validation {shown(trained['seed_score'])} -> {shown(validation)}"
    out.say(f"  Trained           {scored} battles as cases, {learned_to}")
    out.say(f"  Met them again    average {shown(after['averageScore'])} of 100, the same seeds")
    out.say(f"  Change            {change_words(after['metrics']['against'])}")
    play = ", play money" if document["simulated"] else ""
    out.say(f"  Cost              {usd(document['cost_usd'])}{play}")
    with database() as db, db.reading() as session:
        found = None if best is None else read_checkpoint(session, workflow, best["id"])
    if found is not None:
        learned = {name: prompt.model_dump() for name, prompt in found.prompts.items()}
        say_change(out, trained["run_id"], learned)
    _print_ratings(out, document["ratings"])
    out.say(f"Report: {document['report']}", style="bold")
    out.say("Next:")
    home = f"CORNERMAN_HOME={settings.home} "
    out.say(f"  {home}cornerman checkpoints list {workflow}   what was learned")
    if best is not None:
        out.say(f"  {home}cornerman checkpoints show {best['id'][:8]}   the prompt")
    out.say("  cornerman init --agent langgraph     the same with an agent of your own")
    out.say("  cornerman doctor                     what is set, what is not")


def _print_ratings(out: Out, ratings: list[dict[str, Any]]) -> None:
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
            for one in ratings
        ],
    )
    if ratings:
        most = max(one["battles"] for one in ratings)
        out.say(f"Ratings of {most} battles at most: read the intervals, not the order.")
