"""A small arena to hold battles in: a scripted endpoint, a workflow with prices, 14 personas.

    result = await arena.batch(batch_size=3)

In the workflow `lab` a seller's target is $200 and a buyer's $100, so that a deal at $150 scores
50. A battle takes three turns and one verdict, unless the script says otherwise.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from prefect.settings import PREFECT_API_URL
from sqlalchemy import func, select

from cornerman.domain.battles import Battle
from cornerman.domain.battles.request import BattleParameters
from cornerman.domain.personas import Persona
from cornerman.domain.runs import Event, KillSwitch, Run
from cornerman.settings import reset_settings
from cornerman.storage import battles, breakthroughs, budgets, events, personas, runs, workflows
from cornerman.storage.database import Database
from cornerman.storage.tables import budgets as budget_rows
from cornerman.storage.tables import llm_calls
from tests.support.llm_standin import LLMStandin, Reply

WORKFLOW = "lab"
CRITERIA = ("price_held", "manner")
ROLES = ("agent", "persona", "referee", "optimizer")
PRICES = {f"{role}-m": {"input": 1.0, "output": 2.0} for role in ROLES}
Request = dict[str, Any]


def lab_workflow() -> str:
    """The workflow `lab` as its users would store it."""
    return yaml.safe_dump(
        {
            "id": WORKFLOW,
            "name": "Lab",
            "prompts": {"system": {"text": "You sell a chair.", "requires_grad": True}},
            "rubric": {
                "task": "Judge the seller.",
                "criteria": [{"name": name, "description": name} for name in CRITERIA],
            },
            "scenarios": [
                {
                    "id": "chair",
                    "description": "A chair is offered for $200.",
                    "agent_goal": "Sell it. Your target price is $200.",
                    "persona_goal": "Buy it. Your target price is $100.",
                    "agent_role": "the seller",
                    "persona_role": "the buyer",
                    "price_targets": {"asking": 200, "buyer_target": 100, "seller_target": 200},
                }
            ],
        }
    )


def lab_personas(count: int = 14) -> list[Persona]:
    return [
        Persona(
            id=f"p{n}", name=f"P{n}", system_prompt=f"You are buyer P{n}.", workflow_id=WORKFLOW
        )
        for n in range(count)
    ]


def who(request: Request) -> str:
    """The id of the persona that a persona's call is for, by its system prompt."""
    found = re.search(r"You are buyer P(\d+)", request["messages"][0]["content"])
    return f"p{found[1]}" if found else ""


def verdict(score: float = 60, *, fidelity: float = 0.9, evidence: str = "I can do") -> str:
    """A referee's answer as asked for."""
    names = CRITERIA
    return json.dumps(
        {
            "score": score,
            "sub_scores": [
                {"name": name, "score": score, "turn": 1, "evidence": evidence} for name in names
            ],
            "persona_fidelity": fidelity,
            "outcome": "deal",
            "agreed_price": None,
            "rationale": "scripted",
        }
    )


def tactic(text: str = "Name the price first and wait.") -> str:
    """A scout's answer as asked for."""
    return json.dumps(
        {"title": "First word", "tactic": text, "defining_turn": 1, "snippet": "I can do"}
    )


class Script:
    """What each role answers; change an attribute to change the arena.

    Args:
        price: What the agent asks, which the persona takes; the agent has heard who it is.
    """

    def __init__(self) -> None:
        self.price: Callable[[Request], float] = lambda request: 150
        self.referee: Callable[[Request], str] = lambda request: verdict()
        self.tactic = tactic
        self.override: Callable[[Request, int], Reply | None] = lambda request, n: None

    def __call__(self, request: Request, n: int) -> Reply:
        return self.override(request, n) or Reply(text=self.answer(request))

    def answer(self, request: Request) -> str:
        said = [m.get("content") for m in request["messages"] if m["role"] != "system"]
        if request["model"] == "persona-m":
            asked = re.search(r"\$([\d.]+)", said[-1])
            name = who(request).upper()
            return f"DEAL at ${asked[1]}" if asked else f"{name} here. I offer $100."
        if request["model"] == "agent-m":
            return f"I can do ${self.price(request):g}."
        if request["model"] == "optimizer-m":
            return "<rewrite>\nYou sell a chair well.\n</rewrite>"
        if "tactic" in str(request.get("response_format")):
            return self.tactic()
        return self.referee(request)


class Arena:
    """The endpoint, the database and what was said."""

    def __init__(self, server: LLMStandin, script: Script, db: Database, home: Path) -> None:
        self.server = server
        self.script = script
        self.db = db
        self.home = home
        self.monkeypatch = pytest.MonkeyPatch()

    def set(self, **settings: object) -> None:
        """Change settings, by their names in capitals; None takes one away."""
        for name, value in settings.items():
            if value is None:
                self.monkeypatch.delenv(name, raising=False)
            else:
                self.monkeypatch.setenv(name, str(value))
        reset_settings()

    async def batch(self, **fields: Any) -> dict[str, Any]:
        """Hold a batch and return its result."""
        from cornerman.flows.battle import battle_batch

        return await battle_batch(BattleParameters(**{"workflow_id": WORKFLOW, **fields}))

    async def scout(self) -> dict[str, Any]:
        from cornerman.domain.battles.breakthroughs import ScoutParameters
        from cornerman.flows.scout import scout

        return await scout(ScoutParameters.model_validate({}))

    async def process(self, **fields: Any) -> asyncio.subprocess.Process:
        """Hold a batch in a process of its own."""
        request = {"workflow_id": WORKFLOW, **fields}
        code = (
            "import asyncio, json, sys\n"
            "from cornerman.domain.battles.request import BattleParameters\n"
            "from cornerman.flows.battle import battle_batch\n"
            "parameters = BattleParameters.model_validate(json.loads(sys.argv[1]))\n"
            "print(json.dumps(asyncio.run(battle_batch(parameters))))\n"
        )
        return await self.python(code, json.dumps(request))

    async def python(self, code: str, *arguments: str) -> asyncio.subprocess.Process:
        """Run code in a process with this arena's settings and Prefect server."""
        env = os.environ | {"PREFECT_API_URL": PREFECT_API_URL.value() or ""}
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", code, *arguments),
            env=env,
            cwd=Path(__file__).parents[2],
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    # -- what is stored

    def battles(self, batch_id: str | None = None) -> list[Battle]:
        with self.db.reading() as session:
            return battles.read_battles(session, batch_id=batch_id, with_turns=True)

    def breakthroughs(self) -> list[Any]:
        with self.db.reading() as session:
            return breakthroughs.read_breakthroughs(session)

    def run(self, run_id: str) -> Run:
        with self.db.reading() as session:
            found = runs.read_run(session, run_id)
        assert found is not None
        return found

    def events(self, run_id: str, name: str | None = None) -> list[Event]:
        with self.db.reading() as session:
            found = events.read_events(session, run_id, limit=10_000)
        return [event for event in found if name in (None, event.event)]

    def kill_switch(self) -> KillSwitch:
        with self.db.reading() as session:
            return budgets.read_kill_switch(session)

    def turn_kill_switch(self, *, active: bool, reason: str = "test") -> None:
        with self.db.writing() as session:
            budgets.create_kill_switch_state(session, active=active, reason=reason, by="me")

    def check_books(self) -> int:
        """Require that every call is settled and each budget holds the sum of its calls.

        Returns:
            What everything cost, in picodollars.
        """
        with self.db.reading() as session:
            rows = list(session.execute(select(llm_calls)))
            held = list(session.execute(select(budget_rows)))
        assert [row.id for row in rows if row.status == "reserved"] == []
        for budget in held:
            booked = sum(row.cost_pico for row in rows if budget.name in row.budgets)
            assert (budget.reserved_pico, budget.spent_pico) == (0, booked), budget.name
            assert budget.spent_pico <= budget.limit_pico, budget.name
        return sum(row.cost_pico for row in rows)

    def calls(self, **where: Any) -> int:
        query = select(func.count()).select_from(llm_calls)
        for name, value in where.items():
            query = query.where(llm_calls.c[name] == value)
        with self.db.reading() as session:
            return session.execute(query).scalar_one()

    async def until(self, true: Callable[[], bool], seconds: float = 30) -> None:
        """Wait until something is true."""
        async with asyncio.timeout(seconds):
            while not true():
                await asyncio.sleep(0.02)


def seed(db: Database, people: int = 14) -> None:
    """Store the workflow and its personas."""
    with db.writing() as session:
        workflows.create_workflow(session, WORKFLOW, {"battle": lab_workflow()})
        personas.create_personas(session, lab_personas(people))


@pytest_asyncio.fixture
async def arena(
    prefect_harness: None, sqlite_template: Path, tmp_path: Path, cornerman_home: Path
) -> AsyncIterator[Arena]:
    """14 personas, no delay between battles, and a scripted endpoint that answers at once."""
    database = tmp_path / "arena.db"
    shutil.copyfile(sqlite_template, database)
    url = f"sqlite:///{database}"
    script, db = Script(), Database(url)
    async with LLMStandin(script) as server:
        made = Arena(server, script, db, cornerman_home)
        models = {f"{role.upper()}_MODEL": f"{role}-m" for role in ROLES}
        made.set(
            USE_LOCAL_DB="true",
            LOCAL_DB_URL=url,
            OPENAI_BASE_URL=server.base_url,
            OPENAI_API_KEY="sk-test",
            MODEL_PRICES=json.dumps(PRICES),
            DELAY_BETWEEN_BATTLES_MS=0,
            **models,
        )
        seed(db)
        yield made
        made.monkeypatch.undo()
        reset_settings()
    db.close()
