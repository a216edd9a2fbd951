"""What a training run's cases share, made alike in the flow's process and in a Dask worker's."""

from __future__ import annotations

from cornerman.flows.engine import Engine
from cornerman.tasks.agent import Agent
from cornerman.tasks.judge import judge_chat
from cornerman.tasks.training_context import TrainingContext

from cornerman.clients.llm import LLM
from cornerman.domain.train_parameters import TrainParameters
from cornerman.evaluators.base import build_evaluators


def make_context(
    engine: Engine, spec: TrainParameters, run_id: str, *, llm: LLM, agent: Agent
) -> TrainingContext:
    """What the cases of a run share, in each process that runs some of them.

    Raises:
        BadInputError: An evaluator cannot be made.
    """
    settings = engine.settings
    return TrainingContext(
        run_id=run_id,
        spec=spec,
        settings=settings,
        db=engine.db,
        llm=llm,
        meter=engine.meter,
        agent=agent,
        evaluators=build_evaluators(
            spec.evaluators,
            allowed=list(settings.evaluator_modules),
            chat=judge_chat(llm, settings),
        ),
        simulated=engine.simulated,
    )
