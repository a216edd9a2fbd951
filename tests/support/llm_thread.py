"""The scripted endpoint in a thread, for commands that run an event loop of their own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

from tests.support.llm_standin import LLMStandin, Script


@contextlib.contextmanager
def serving(script: Script) -> Iterator[LLMStandin]:
    """Run the endpoint while the block lasts."""
    loop, server = asyncio.new_event_loop(), LLMStandin(script)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
