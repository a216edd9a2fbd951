"""`cornerman personas`: who the agent meets."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cornerman.cli.output import Out, usd
from cornerman.cli.store import JsonOption, command_group, database
from cornerman.cli.workflow_files import workflow_id_of
from cornerman.domain.errors import BadInputError, NotFoundError

if TYPE_CHECKING:
    from cornerman.domain.battles.workflows import Workflow as BattleWorkflow
    from cornerman.domain.personas import Persona
    from cornerman.storage.database import Database

app = command_group("personas", "Who the agent meets.")

DEFAULT_WORKFLOW = "negotiation"
MOST_GENERATED = 100

Workflow = Annotated[
    str, typer.Option("--workflow", "-w", help="The workflow's id, or its YAML file.")
]


@app.command("list")
def list_personas(
    workflow: Workflow = DEFAULT_WORKFLOW,
    active: Annotated[bool, typer.Option("--active", help="Only those that are met.")] = False,
    json: JsonOption = False,
) -> None:
    """List a workflow's personas."""
    from cornerman.storage.personas import read_personas

    out = Out(json)
    workflow = workflow_id_of(workflow, out)
    with database() as db:
        seed_builtin(db, workflow)
        with db.reading() as session:
            found = read_personas(session, workflow, active=True if active else None)
    out.document([persona.model_dump(mode="json") for persona in found])
    if not found:
        out.say(f"Workflow {workflow} has no personas.")
        out.say(f"Type: cornerman personas import FILE --workflow {workflow}")
        return
    out.table(
        ("persona", "name", "type", "difficulty", "active", "from"),
        [(p.id, p.name, p.persona_type, p.difficulty, p.active, p.source) for p in found],
    )


def seed_builtin(db: Database, workflow_id: str) -> None:
    """Give a built-in workflow its own personas, the first time that it is used."""
    from cornerman.flows.battle_workflow import ensure_personas
    from cornerman.storage.workflows import create_workflow
    from cornerman.workflows import builtin_workflow_ids

    if workflow_id in builtin_workflow_ids():
        with db.writing() as session:
            create_workflow(session, workflow_id)
            ensure_personas(session, workflow_id)


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="JSONL, CSV, or sotopia's agent profiles.")],
    workflow: Workflow = DEFAULT_WORKFLOW,
    like: Annotated[
        str | None, typer.Option("--like", help="Built-in workflow that lends its rubric.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Import personas from a file; importing it again changes nothing."""
    from cornerman.domain.personas.files import parse_personas_file

    out = Out(json)
    workflow = workflow_id_of(workflow, out)
    found = parse_personas_file(file, workflow)
    with database() as db:
        created, known = store_personas(db, found, like=like)
    homes = sorted({persona.workflow_id for persona in found})
    out.document(
        {"file": str(file), "workflows": homes, "total": len(found), "new": created, "same": known}
    )
    out.say(f"{created} new personas, {known} known, for {', '.join(homes)}.")


def store_personas(
    db: Database, personas: Sequence[Persona], *, like: str | None = None
) -> tuple[int, int]:
    """Store personas and make sure that battles can be held for their workflows.

    Args:
        like: Built-in workflow whose rubric, limits and scenarios a workflow gets that has none;
            None: the negotiation's, unless it was trained, for then any conversation's will do.

    Returns:
        How many are new, and how many were there.
    """
    from cornerman.storage.personas import create_personas

    with db.writing() as session:
        for workflow_id in sorted({persona.workflow_id for persona in personas}):
            _ensure_workflow(session, workflow_id, like)
        return create_personas(session, personas)


def _ensure_workflow(session: Any, workflow_id: str, like: str | None) -> None:
    import yaml

    from cornerman.storage.checkpoints import read_best_checkpoint
    from cornerman.storage.workflows import create_workflow, read_workflow
    from cornerman.workflows import builtin_workflow, builtin_workflow_ids

    create_workflow(session, workflow_id)
    if workflow_id in builtin_workflow_ids() or "battle" in (
        read_workflow(session, workflow_id) or {}
    ):
        return
    if like is None and read_best_checkpoint(session, workflow_id) is not None:
        return
    lender = builtin_workflow(like or DEFAULT_WORKFLOW)
    model = lender.model_dump(mode="json") | {"id": workflow_id}
    create_workflow(session, workflow_id, {"battle": yaml.safe_dump(model, sort_keys=False)})


@app.command("on")
def switch_on(
    persona: Annotated[list[str], typer.Argument(help="Ids of personas.")],
    workflow: Workflow = DEFAULT_WORKFLOW,
    json: JsonOption = False,
) -> None:
    """Meet personas again."""
    _switch(Out(json), workflow, persona, active=True)


@app.command("off")
def switch_off(
    persona: Annotated[list[str], typer.Argument(help="Ids of personas.")],
    workflow: Workflow = DEFAULT_WORKFLOW,
    json: JsonOption = False,
) -> None:
    """Meet personas no more; their battles stay."""
    _switch(Out(json), workflow, persona, active=False)


def _switch(out: Out, workflow: str, ids: Sequence[str], *, active: bool) -> None:
    from cornerman.storage.personas import update_persona_active

    workflow = workflow_id_of(workflow, out)
    with database() as db:
        seed_builtin(db, workflow)
        with db.writing() as session:
            for one in ids:
                if not update_persona_active(session, workflow, one, active=active):
                    raise NotFoundError(
                        f"Workflow {workflow} has no persona {one!r}; nothing was changed.",
                        field="persona",
                        hint=f"Type: cornerman personas list --workflow {workflow}",
                    )
    out.document({"workflow_id": workflow, "personas": list(ids), "active": active})
    out.say(f"{', '.join(ids)}: {'met again' if active else 'met no more'}.")


@app.command("generate")
def generate(
    count: Annotated[int, typer.Argument(help="How many new personas.")],
    workflow: Workflow = DEFAULT_WORKFLOW,
    about: Annotated[str, typer.Option("--about", help="What they should be like.")] = "",
    json: JsonOption = False,
) -> None:
    """Have a model invent personas; those that are there already are refused."""
    from cornerman.flows.battle_workflow import read_battle_workflow

    if not 1 <= count <= MOST_GENERATED:
        raise BadInputError(f"N is {count}; it must be 1 to {MOST_GENERATED}.", field="count")
    out = Out(json)
    workflow = workflow_id_of(workflow, out)
    with database() as db:
        seed_builtin(db, workflow)
        with db.reading() as session:
            scene = read_battle_workflow(session, workflow)
    made = asyncio.run(_generate(scene, count, about))
    out.document(made)
    simulated = " (simulated)" if made["simulated"] else ""
    out.say(
        f"{len(made['personas'])} new personas, {made['duplicates']} duplicates refused, "
        f"{usd(made['cost_usd'])}{simulated}."
    )
    for persona in made["personas"]:
        out.say(f"  {persona['name']}: {persona['description']}")


async def _generate(workflow: BattleWorkflow, count: int, about: str) -> dict[str, Any]:
    from cornerman.flows.engine import open_engine
    from cornerman.tasks.generate_personas import generate_personas

    async with open_engine() as engine, engine.llm() as llm:
        return await generate_personas(
            engine.db, llm, engine.settings, workflow, count, about, simulated=engine.simulated
        )
