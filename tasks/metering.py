"""The meter for one run's own agent: open while the run is, with a key for each of its cases."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Protocol

from cornerman.domain.errors import StopError
from cornerman.domain.traces import PromptFinder, replay_here
from cornerman.domain.training.options import is_chat_agent
from cornerman.storage import traces
from cornerman.tasks.meter import DatabaseMeter, telling_waits

if TYPE_CHECKING:
    from cornerman.clients.llm_types import LLMEndpoint
    from cornerman.domain.money.ledger import CallScope, Role
    from cornerman.domain.training import GraphOptions
    from cornerman.meter.accounts import AnthropicEndpoint, CaseKey, RunAccount
    from cornerman.settings import Settings


class MeteredRun(Protocol):
    """What the meter needs of a run: a training run's context, or a batch's."""

    @property
    def run_id(self) -> str: ...

    @property
    def meter(self) -> DatabaseMeter: ...

    def scope(self, subject: str) -> CallScope: ...

    def check(self) -> None: ...

    def stop(self, reason: StopError) -> None: ...


class AgentMetering:
    """What makes an agent's own calls metered; a chat agent needs none of it."""

    def __init__(self, settings: Settings, endpoint: LLMEndpoint) -> None:
        # Imported only for such an agent: a server and its framework take a moment.
        from cornerman.meter.in_process import metered_environment

        self._settings = settings
        self._endpoint = endpoint
        self._stack = contextlib.ExitStack()
        anthropic = self._anthropic()
        upstreams = [endpoint.base_url, anthropic.base_url if anthropic else None]
        self.server = self._stack.enter_context(metered_environment(upstreams))
        self.account: RunAccount | None = None
        self._facts: dict[str, Any] = {"unattributed_calls": 0, "unmetered_hosts": []}

    def _anthropic(self) -> AnthropicEndpoint | None:
        from cornerman.meter.accounts import ANTHROPIC_URL, AnthropicEndpoint

        settings, endpoint = self._settings, self._endpoint
        if settings.anthropic_api_key or settings.anthropic_base_url:
            url = settings.anthropic_base_url or ANTHROPIC_URL
            return AnthropicEndpoint(url, settings.anthropic_api_key)
        # The rehearsal endpoint speaks both.
        return AnthropicEndpoint(endpoint.openai_url, None) if endpoint.simulated else None

    def open(self, context: MeteredRun) -> None:
        """Book on the run's budgets from now on; calls of the agent's threads too."""
        from cornerman.meter.accounts import RunAccount

        loop = asyncio.get_running_loop()

        def stop(error: StopError) -> None:
            loop.call_soon_threadsafe(context.stop, error)

        self.account = RunAccount(
            context.run_id,
            endpoint=self._endpoint,
            anthropic=self._anthropic(),
            meter=context.meter,
            scope=context.scope,
            check=context.check,
            stop=stop,
            record=traces.recorder(self._settings.record_calls),
        )
        self.server.open(self.account)

    def key(
        self,
        subject: str,
        *,
        prompts: PromptFinder | None,
        extend: Callable[[float], None],
        role: Role = "agent",
    ) -> CaseKey:
        """A key for one subject; what an interrupted one was answered is served again.

        See `cornerman.domain.traces.replaying`.

        Args:
            extend: Gives the subject so many seconds more, which its calls wait for money.
        """
        assert self.account is not None
        loop = asyncio.get_running_loop()

        def wait(seconds: float) -> None:
            loop.call_soon_threadsafe(extend, seconds)

        return self.account.open_key(
            subject,
            role=role,
            prompts=prompts,
            waiting=lambda: telling_waits(wait),
            replay=replay_here(),
        )

    def stop(self, reason: StopError) -> None:
        """Refuse further calls and cut those in flight: the kill-switch is on, or a cancel."""
        if self.account is not None:
            self.account.stop_now(reason)

    def facts(self) -> dict[str, Any]:
        """What a run's result tells of its agent's calls outside of cases or of the meter."""
        account = self.account
        if account is not None:
            hosts = sorted(account.hosts_elsewhere)
            self._facts = {"unattributed_calls": account.unattributed, "unmetered_hosts": hosts}
        return self._facts

    async def close(self) -> None:
        """End every key and put the environment back. Idempotent."""
        self.facts()
        account, self.account = self.account, None
        if account is not None:
            await self.server.close(account)
        self._stack.close()


def meter_agent(
    graph: GraphOptions | None, settings: Settings, endpoint: LLMEndpoint
) -> AgentMetering | None:
    """The metering of a run's agent; None for one that calls by `context.chat` alone."""
    return None if is_chat_agent(graph) else AgentMetering(settings, endpoint)


@contextlib.contextmanager
def calling_for(key: CaseKey | None) -> Generator[None]:
    """Attribute the calls that are made inside to the key's subject."""
    if key is None:
        yield
        return
    from cornerman.meter import in_process

    with in_process.calling_for(key):
        yield
