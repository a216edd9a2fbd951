"""What every run needs: settings, database at the right schema, a model endpoint and its meter.

What a training run's cases share, made alike in the flow's process and in a Dask worker's.

The id that a flow run gives to its run, when nobody named one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from prefect.runtime import flow_run

from cornerman.clients.llm import LLM
from cornerman.clients.llm_types import LLMEndpoint
from cornerman.clients.prices import PriceBook
from cornerman.domain.training import TrainSpec
from cornerman.evaluators.base import build_evaluators
from cornerman.flows.plumbing.quiet import tell_services_in_one_line, tell_stops_in_one_line
from cornerman.rehearsal import rehearsal_endpoint
from cornerman.settings import Settings, get_settings
from cornerman.storage import traces
from cornerman.storage.database import Database, migrate
from cornerman.tasks.agent import Agent
from cornerman.tasks.judge import judge_chat
from cornerman.tasks.meter import DatabaseMeter
from cornerman.tasks.metering import AgentMetering
from cornerman.tasks.telemetry import Telemetry
from cornerman.tasks.training_context import TrainingContext


class Engine:
    """Open for the length of one run; a plain class, which Prefect hands to tasks unopened."""

    def __init__(
        self,
        settings: Settings,
        db: Database,
        endpoint: LLMEndpoint,
        meter: DatabaseMeter,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.settings = settings
        self.db = db
        self.endpoint = endpoint
        self.meter = meter
        self.telemetry = telemetry

    @property
    def simulated(self) -> bool:
        return self.endpoint.simulated

    def llm(self, *, cache: bool = False) -> LLM:
        """A client on this engine's endpoint and ledger."""
        record = traces.recorder(self.settings.record_calls)
        return LLM(self.endpoint, self.meter, cache=cache, record=record)


@contextlib.asynccontextmanager
async def open_database(settings: Settings | None = None) -> AsyncGenerator[Database]:
    """The configured database, at this version's schema.

    Raises:
        SettingsError: The settings name no usable database.
        StorageError: It cannot be reached, or its schema is another version's.
    """
    settings = settings or get_settings()
    db = Database(settings.database_url().url.get_secret_value())
    try:
        await asyncio.to_thread(migrate.require_current, db)
        yield db
    finally:
        await asyncio.to_thread(db.close)


@contextlib.asynccontextmanager
async def open_engine(settings: Settings | None = None) -> AsyncGenerator[Engine]:
    """Open all a run needs; the rehearsal endpoint is started when no model is configured."""
    settings = settings or get_settings()
    tell_stops_in_one_line()
    tell_services_in_one_line()
    async with contextlib.AsyncExitStack() as stack:
        db = await stack.enter_async_context(open_database(settings))
        base_url = settings.openai_base_url
        if settings.simulated:
            rehearsal = await stack.enter_async_context(
                rehearsal_endpoint(
                    seed=settings.rehearsal_seed, latency_ms=settings.rehearsal_latency_ms
                )
            )
            base_url = rehearsal.base_url
        endpoint = LLMEndpoint(
            base_url=base_url,
            api_key=settings.api_key,
            simulated=settings.simulated,
            prices=PriceBook(settings.model_prices, base_url=base_url),
            max_output_tokens=settings.max_output_tokens,
        )
        telemetry = None
        if settings.otel_exporter_otlp_endpoint is not None:
            telemetry = Telemetry(
                db, with_text=settings.otel_instrumentation_genai_capture_message_content
            )
            stack.push_async_callback(telemetry.close)
        yield Engine(settings, db, endpoint, DatabaseMeter(db), telemetry)


def make_context(
    engine: Engine,
    spec: TrainSpec,
    run_id: str,
    *,
    llm: LLM,
    agent: Agent,
    metering: AgentMetering | None = None,
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
        metering=metering,
        telemetry=engine.telemetry,
    )


def own_id() -> str:
    """Twelve hex digits of this flow run's id, the same whenever it is started again.

    The last ones: Prefect's ids begin with the millisecond, and its scheduler creates the runs of
    many slots in one.
    """
    return str(flow_run.id).replace("-", "")[-12:]
