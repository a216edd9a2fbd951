"""What every run needs: settings, database at the right schema, a model endpoint and its meter."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncGenerator, Generator

from cornerman.storage import migrate
from cornerman.storage.engine import Database
from cornerman.tasks.meter import DatabaseMeter

from cornerman.clients.llm import LLM
from cornerman.clients.llm_types import LLMEndpoint
from cornerman.clients.prices import PriceBook
from cornerman.clients.rehearsal import rehearsal_endpoint
from cornerman.settings import Settings, get_settings


class Engine:
    """Open for the length of one run; a plain class, which Prefect hands to tasks unopened."""

    def __init__(
        self, settings: Settings, db: Database, endpoint: LLMEndpoint, meter: DatabaseMeter
    ) -> None:
        self.settings = settings
        self.db = db
        self.endpoint = endpoint
        self.meter = meter

    @property
    def simulated(self) -> bool:
        return self.endpoint.simulated

    def llm(self, *, cache: bool = False) -> LLM:
        """A client on this engine's endpoint and ledger."""
        return LLM(self.endpoint, self.meter, cache=cache)


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
        )
        yield Engine(settings, db, endpoint, DatabaseMeter(db))


@contextlib.contextmanager
def heap_at_rest() -> Generator[None]:
    """Keep Python's garbage collector from walking all that was imported, in the middle of a run.

    Prefect and the model client are a million objects; to walk them takes a fifth of a second in
    which no case moves, and no event is written.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
