"""What the tests of tasks stand on: a run in a database, a model endpoint, a context."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import SecretStr

from cornerman.clients.llm import LLM, LLMEndpoint
from cornerman.clients.prices import PriceBook
from cornerman.domain.runs import Event
from cornerman.domain.training.candidates import Candidate, Prompt
from cornerman.domain.training.cases import Case, CaseResult
from cornerman.domain.training.parse import parse_train_spec
from cornerman.evaluators.base import build_evaluators
from cornerman.settings import load_settings
from cornerman.storage import cases, events, ledger, runs
from cornerman.storage.database import Database
from cornerman.tasks.case_progress import CaseJob
from cornerman.tasks.judge import judge_chat
from cornerman.tasks.meter import DatabaseMeter
from cornerman.tasks.own_agents import build_agent
from cornerman.tasks.training_context import TrainingContext
from tests.storage.samples import make_run
from tests.support.llm_standin import LLMStandin

HERE = "tests.tasks.users_code"


@dataclass
class Bench:
    """One run's context, and what became of it in the database."""

    context: TrainingContext
    server: LLMStandin
    db: Database
    candidate: Candidate = field(
        default_factory=lambda: Candidate(
            id="c0", prompts={"system": Prompt(text="Answer {question}", requires_grad=True)}
        )
    )

    def job(self, case_id: str = "1", *, expected: Any = "4", repeat: int = 0) -> CaseJob:
        case = Case(case_id, int(case_id), {"question": "2 + 2"}, expected, {"hard": [True]})
        return CaseJob(self.candidate, case, "train", 1, repeat)

    def rows(self) -> list[CaseResult]:
        with self.db.reading() as session:
            return cases.read_case_results(session, "r")

    def events(self) -> list[Event]:
        with self.db.reading() as session:
            return events.read_events(session, "r")

    def ledger(self) -> list[dict[str, Any]]:
        with self.db.reading() as session:
            return ledger.read_ledger_summary(session, "r")


@pytest.fixture
async def server() -> AsyncIterator[LLMStandin]:
    async with LLMStandin() as standin:
        yield standin


@pytest.fixture
async def make_bench(
    sqlite_db: Database, server: LLMStandin
) -> AsyncIterator[Callable[..., Bench]]:
    """A function that makes the context of a run: `make_bench(agent=…, evaluators=[…], …)`."""
    make_run(sqlite_db)
    opened = list[LLM]()

    def make(
        agent: str | None = None, evaluators: list[str] | None = None, **optimizer: Any
    ) -> Bench:
        asked = parse_train_spec(
            {
                "workflow_id": "w",
                "dataset": {"cases": [{"inputs": {"question": "2 + 2"}}]},
                "evaluators": [_evaluator(name) for name in evaluators or ["exact_match"]],
                "prompts": {"system": {"text": "Answer.", "requires_grad": True}},
                "graph_config": agent and {"entrypoint": f"{HERE}:{agent}"},
                "optimizer": optimizer,
            },
            source="python",
        )
        endpoint = LLMEndpoint(server.base_url, SecretStr("sk-test-key-1"), False, PriceBook(), 0)
        meter = DatabaseMeter(sqlite_db)
        llm, settings = LLM(endpoint, meter), load_settings(None)
        opened.append(llm)
        context = TrainingContext(
            run_id="r",
            spec=asked,
            settings=settings,
            db=sqlite_db,
            llm=llm,
            meter=meter,
            agent=build_agent(asked.graph_config, [HERE]),
            evaluators=build_evaluators(
                asked.evaluators, allowed=[HERE], chat=judge_chat(llm, settings)
            ),
            simulated=False,
        )
        with sqlite_db.writing() as session:
            context.owner = str(runs.claim_run(session, "r", "me").owner)
        return Bench(context, server, sqlite_db)

    yield make
    for llm in opened:
        await llm.aclose()


def _evaluator(name: str) -> dict[str, Any]:
    if name == "llm_judge":
        return {"id": name, "entrypoint": name, "config": {"rubric": "Is it right?"}}
    built_in = name == "exact_match"
    return {"id": name, "entrypoint": name if built_in else f"{HERE}:{name}"}
