"""Having a model invent personas, paid for by a run of their own."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any

from cornerman.clients.chat_json import chat_json, json_schema_format
from cornerman.clients.llm import LLM, ChatRequest
from cornerman.domain.battles.workflows import Workflow
from cornerman.domain.errors import BadInputError
from cornerman.domain.money import pico_to_usd, usd_to_pico
from cornerman.domain.money.ledger import CallScope
from cornerman.domain.personas import Persona
from cornerman.domain.personas.files import import_personas, without_known
from cornerman.domain.seeds import derived_seed
from cornerman.settings import Settings
from cornerman.storage import ledger, personas, runs, workflows
from cornerman.storage.database import Database
from cornerman.tasks.training_context import day_budget_name

GENERATE_MAX_TOKENS = 4_000
GENERATE_TEMPERATURE = 1.0
# More in one answer would be cut off, and grow alike.
_MOST_AT_ONCE = 8
# Calls beyond those that would do if no persona came twice.
_SPARE_CALLS = 3
_FIELDS = ("name", "description", "persona_type", "system_prompt")


async def generate_personas(
    db: Database,
    llm: LLM,
    settings: Settings,
    workflow: Workflow,
    count: int,
    about: str,
    *,
    simulated: bool,
) -> dict[str, Any]:
    """Ask for personas until there are `count` new ones; those that are known are refused.

    Args:
        workflow: Whose agent will meet them; its situations are told.
        about: What they should be like, in the user's words; may be empty.

    Returns:
        `{"run_id", "workflow_id", "personas", "duplicates", "cost_usd", "simulated"}`. There may
        be fewer personas than asked for, when the model keeps repeating itself.

    Raises:
        StopError: No more money may be spent; what was made is kept.
        LLMError: No usable answer.
    """
    run_id, workflow_id = f"personas-{uuid.uuid4().hex[:12]}", workflow.id
    request = {"generate": count, "about": about}
    await db.write(_begin, run_id, workflow_id, request, simulated)
    budgets = {day_budget_name(simulated=simulated): usd_to_pico(settings.daily_budget_usd)}
    scope = CallScope(run_id, "generate", budgets, simulated)
    made, duplicates = list[Persona](), 0
    status: Any = "failed"
    try:
        for number in range(-(-count // _MOST_AT_ONCE) + _SPARE_CALLS):
            wanted = min(_MOST_AT_ONCE, count - len(made))
            if not wanted:
                break
            known = await db.read(personas.read_personas, workflow_id)
            asked = _request(settings, workflow, wanted, about, known, number)
            found = await chat_json(llm, scope, asked, _reader(workflow_id)) or []
            fresh = without_known(found, known)[:wanted]
            duplicates += len(found) - len(fresh)
            await db.write(personas.create_personas, fresh)
            made += fresh
        status = "completed"
    finally:
        cost_pico = await db.read(ledger.read_run_cost_pico, run_id)
        result = {
            "run_id": run_id,
            "workflow_id": workflow_id,
            "personas": [persona.model_dump(mode="json") for persona in made],
            "duplicates": duplicates,
            "cost_usd": pico_to_usd(cost_pico),
            "simulated": simulated,
        }
        await db.write(runs.finish_run, run_id, status=status, result=result)
    return result


def _begin(
    session: Any, run_id: str, workflow_id: str, request: dict[str, Any], simulated: bool
) -> None:
    workflows.create_workflow(session, workflow_id)
    runs.create_run(
        session,
        run_id=run_id,
        kind="scout",
        workflow_id=workflow_id,
        request=request,
        random_state={},
        simulated=simulated,
    )
    runs.claim_run(session, run_id, "generate")


def _request(
    settings: Settings,
    workflow: Workflow,
    count: int,
    about: str,
    known: Sequence[Persona],
    number: int,
) -> ChatRequest:
    system = (
        "You invent people for an agent to practise on. Each is somebody particular, with a "
        "temper, a wish and ways to make the agent's work hard. system_prompt addresses the "
        "actor who plays the persona, begins with 'You are', and says how to stay in character."
    )
    lines = [f"Write {count} personas that this agent may meet.", *_scene(workflow, number)]
    if about:
        lines.append(f"They should be like this: {about}")
    if known:
        names = json.dumps([persona.name for persona in known][-100:], ensure_ascii=False)
        lines.append(f"These are there already; make others: {names}")
    return ChatRequest(
        role="generator",
        model=settings.model_for("generator"),
        messages=(
            {"role": "system", "content": system},
            {"role": "user", "content": "\n".join(lines)},
        ),
        max_tokens=GENERATE_MAX_TOKENS,
        temperature=GENERATE_TEMPERATURE,
        seed=derived_seed(len(known), "generate", number),
        response_format=json_schema_format("personas", _schema()),
    )


def _scene(workflow: Workflow, number: int) -> list[str]:
    """What the agent does and whom it meets; another situation for each question."""
    scenario = workflow.scenarios[number % len(workflow.scenarios)]
    return [
        f"The agent, {scenario.agent_role}: {workflow.description or workflow.name}",
        f"The persona is {scenario.persona_role}. One of several situations: "
        f"{scenario.description.strip()}",
        f"The persona's goal there: {scenario.persona_goal.strip()}",
        "A system_prompt must fit every such situation: it names no item, no price and no date.",
    ]


def _schema() -> dict[str, Any]:
    text, texts = {"type": "string"}, {"type": "array", "items": {"type": "string"}}
    fields: dict[str, Any] = dict.fromkeys(_FIELDS, text) | {
        "characteristics": texts,
        "attack_patterns": texts,
        "difficulty": {"type": "integer", "minimum": 1, "maximum": 5},
    }
    persona = {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"personas": {"type": "array", "items": persona}},
        "required": ["personas"],
        "additionalProperties": False,
    }


def _reader(workflow_id: str) -> Any:
    def read(text: str) -> list[Persona]:
        try:
            rows = json.loads(text)["personas"]
            return import_personas(rows, workflow_id=workflow_id, source="generated")
        except BadInputError as error:  # what is wrong, for the repair
            raise ValueError(error.message) from error

    return read
