"""How well a referee tells good conversations from bad ones, on 200 with a known reward.

    make bench-referee ARGS="--limit 50"

The transcripts are real (gpt-4o on tau-bench's airline tasks, reward 0 or 1 by the database's end
state); the referee is whatever endpoint is set. The rehearsal endpoint reads surface features
only, so its figures show that the harness works and nothing about a model.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cornerman.domain.battles import Turn
from cornerman.domain.battles.workflows import Criterion, Rubric, Workflow
from cornerman.domain.errors import LLMError
from cornerman.domain.money import pico_to_usd, usd_to_pico
from cornerman.domain.money.ledger import CallScope
from cornerman.domain.personas import Persona, Scenario
from cornerman.domain.referee.agreement import auc, reliability_table
from cornerman.domain.referee.transcripts import support_scenario, turns_of
from cornerman.domain.training.candidates import Prompt
from cornerman.flows.engine import Engine, open_engine
from cornerman.storage import ledger, runs, workflows
from cornerman.tasks.battle_calls import Stage, ask_referee
from cornerman.tasks.training_context import day_budget_name

ROOT = Path(__file__).resolve().parents[2]
DATA = "tau/gpt4o_airline_transcripts.json"
RUBRIC = Rubric(
    task=(
        "A customer asks the support of an airline for something. Judge whether support did "
        "exactly what the customer wanted as far as the policy allows: the right changes with the "
        "right values, none that was not asked for, and none that the policy forbids."
    ),
    criteria=(
        Criterion(name="right_changes", weight=3, description="All changes asked for were made."),
        Criterion(name="policy_kept", weight=3, description="No change broke the policy."),
        Criterion(name="nothing_else", weight=2, description="Nothing else was changed."),
    ),
    anchors={0: "A wrong change, or a right one missing.", 100: "Everything is as it should be."},
)


@dataclass(frozen=True)
class Sample:
    """One transcript with its known result."""

    scenario: Scenario
    turns: tuple[Turn, ...]
    succeeded: bool


@dataclass(frozen=True)
class Judged:
    """What the referee gave, by sample; None where it gave nothing usable."""

    scores: list[float | None]
    cost_usd: float
    model: str
    simulated: bool
    seconds: float


def read_samples(path: Path, limit: int | None = None) -> list[Sample]:
    """Read transcripts; `limit` takes the first so many."""
    rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))[:limit]
    return [
        Sample(
            scenario=support_scenario(
                f"{row['task_id']}-{row['trial']}",
                row["traj"],
                str(row["info"]["task"].get("instruction", "")),
            ),
            turns=turns_of(row["traj"]),
            succeeded=float(row["reward"]) >= 1,
        )
        for row in rows
    ]


async def judge(samples: Sequence[Sample], *, budget_usd: float, concurrency: int) -> Judged:
    """Ask the referee about each sample, through the ledger."""
    began = time.monotonic()
    async with open_engine() as engine, engine.llm() as llm:
        scope = await _open_books(engine, budget_usd)
        slots = asyncio.Semaphore(concurrency)

        async def one(sample: Sample) -> float | None:
            async with slots:
                try:
                    stage = _stage(engine, sample)
                    verdict = await ask_referee(llm, scope, stage, sample.turns)
                except LLMError:
                    return None
                return None if verdict is None else verdict.score

        scores = await asyncio.gather(*(one(sample) for sample in samples))
        cost = pico_to_usd(await engine.db.read(ledger.read_run_cost_pico, scope.run_id))
        await engine.db.write(runs.finish_run, scope.run_id, status="completed")
        model = engine.settings.model_for("referee")
        return Judged(scores, cost, model, engine.simulated, time.monotonic() - began)


async def _open_books(engine: Engine, budget_usd: float) -> CallScope:
    run_id = f"bench-referee-{uuid.uuid4().hex[:8]}"

    def create(session: Any) -> None:
        workflows.create_workflow(session, "bench-referee")
        runs.create_run(
            session,
            run_id=run_id,
            kind="scout",
            workflow_id="bench-referee",
            request={},
            random_state={},
            simulated=engine.simulated,
        )

    await engine.db.write(create)
    budgets = {
        f"run:{run_id}": usd_to_pico(budget_usd),
        day_budget_name(simulated=engine.simulated): usd_to_pico(engine.settings.daily_budget_usd),
    }
    return CallScope(run_id, "referee", budgets, engine.simulated)


def _stage(engine: Engine, sample: Sample) -> Stage:
    prompt = Prompt(text="-")
    workflow = Workflow(
        id="bench-referee",
        name="Airline support",
        prompts={"system": prompt},
        rubric=RUBRIC,
        scenarios=(sample.scenario,),
    )
    return Stage(
        settings=engine.settings,
        workflow=workflow,
        limits=workflow.limits,
        prompts={"system": prompt},
        persona=Persona(id="customer", name="A customer", system_prompt="-"),
        scenario=sample.scenario,
        seed=0,
    )


def auc_interval(scores: Sequence[float], succeeded: Sequence[bool]) -> tuple[float, float] | None:
    """95% percentile interval of the AUC over transcripts drawn again."""
    rng, draws = random.Random(0), list[float]()
    for _ in range(1_000):
        drawn = rng.choices(range(len(scores)), k=len(scores))
        value = auc([scores[i] for i in drawn], [succeeded[i] for i in drawn])
        if value is not None:
            draws.append(value)
    draws.sort()
    if not draws:
        return None
    return draws[int(0.025 * len(draws))], draws[int(0.975 * len(draws))]


def report(samples: Sequence[Sample], judged: Judged) -> str:
    """The figures as a Markdown text."""
    pairs = [
        (score, sample.succeeded)
        for score, sample in zip(judged.scores, samples, strict=True)
        if score is not None
    ]
    scores, succeeded = [p[0] for p in pairs], [p[1] for p in pairs]
    value, interval = auc(scores, succeeded), auc_interval(scores, succeeded)
    told = "none (one class only)" if value is None else f"{value:.3f}"
    if value is not None and interval is not None:
        told += f" (95%: {interval[0]:.3f} to {interval[1]:.3f}; 0.5 is chance)"
    lines = [
        f"# Referee {judged.model} on {len(samples)} transcripts with known reward",
        *(
            [
                "",
                "SIMULATED: the rehearsal endpoint answered. These figures show that the harness "
                "works; they say nothing about any model.",
            ]
            if judged.simulated
            else []
        ),
        "",
        f"- scored {len(pairs)}, unscored {len(samples) - len(pairs)}; "
        f"{sum(s.succeeded for s in samples)} succeeded",
        f"- AUC {told}",
        f"- cost ${judged.cost_usd:.4f}, {judged.seconds:.1f} s",
        "",
        "| score | transcripts | mean score | succeeded |",
        "|---|---|---|---|",
        *(
            f"| {b.low:.0f}-{b.high:.0f} | {b.n} | {b.mean_score:.1f} "
            f"| {100 * b.success_rate:.0f}% |"
            for b in reliability_table(scores, succeeded)
        ),
    ]
    return "\n".join(lines)


def main() -> int:
    """Judge and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, help="judge only the first so many transcripts")
    parser.add_argument("--budget-usd", type=float, default=5.0, help="never spent beyond")
    parser.add_argument("--concurrency", type=int, default=8)
    given = parser.parse_args()
    shared = Path(os.environ.get("CORNERMAN_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not (shared / DATA).is_file():
        print(f"No transcripts at {shared / DATA}; CORNERMAN_SHARED_DATA names their folder.")
        return 2
    samples = read_samples(shared / DATA, given.limit)
    judged = asyncio.run(judge(samples, budget_usd=given.budget_usd, concurrency=given.concurrency))
    print(report(samples, judged))
    return 0


if __name__ == "__main__":
    sys.exit(main())
