"""The one way to a model: every attempt is reserved, made and settled.

async with LLM(endpoint, meter) as llm:
    answer = await llm.chat(scope, ChatRequest(role="agent", model="gpt-4o-mini", ...))
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from random import Random
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from cornerman.clients.adapting import Adaptations
from cornerman.clients.booking import Booking
from cornerman.clients.chat_answer import Completion, Failure, Usage
from cornerman.clients.chat_request import (
    ChatRequest,
    build_body,
    cache_key,
    output_limit,
    with_output_limit,
    worst_tokens,
)
from cornerman.clients.llm_types import HINTS, ChatAnswer, Clock, LLMEndpoint
from cornerman.clients.output_limits import OutputLimits
from cornerman.clients.rates import Overruns, Rates
from cornerman.clients.retry import wait_seconds
from cornerman.domain.errors import LLMError
from cornerman.domain.money.ledger import Also, CallEstimate, CallOutcome, CallScope, Meter
from cornerman.domain.secrets import Redactor
from cornerman.domain.traces import (
    CallTrace,
    Recorded,
    Recorder,
    Replay,
    digest_of,
    replay_here,
)

__all__ = ["LLM", "ChatAnswer", "ChatRequest", "Clock", "LLMEndpoint"]

# The kind of an answer that is kept for the case that is interrupted.
_ANSWER = "application/vnd.cornerman.answer+json"
# A server that asks for a longer wait is not coming back within a run.
MAX_RETRY_AFTER_SECONDS = 60.0

# Stores an answer, given the session of the transaction that settles its call.
Keep = Callable[[Any, ChatAnswer], None]


@dataclass(frozen=True)
class _Call:
    """One chat call, ready to be attempted.

    Args:
        asked: The body as the request has it, by which its answer is found again.
        body: What is sent: adapted to the endpoint, with room for a model that thinks.
    """

    scope: CallScope
    request: ChatRequest
    asked: dict[str, Any]
    body: dict[str, Any]
    rates: Rates
    worst_pico: int
    headers: dict[str, str]
    deadline: float
    keep: Keep | None


def _with_body(call: _Call, body: dict[str, Any]) -> _Call:
    return replace(call, body=body, worst_pico=call.rates.worst_cost_pico(*worst_tokens(body)))


class LLM:
    """Makes chat calls to one endpoint. Use it within one event loop.

    Args:
        cache: Serve calls at temperature 0 that were made before from the meter's store.
        record: Stores what a call said in the transaction that settles it.
    """

    def __init__(
        self,
        endpoint: LLMEndpoint,
        meter: Meter,
        *,
        cache: bool = False,
        record: Recorder | None = None,
        clock: Clock | None = None,
        rng: Random | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._meter = meter
        self._booking = Booking(meter)
        self._cache = cache
        self._record = record
        self._clock = clock or Clock()
        self._rng = rng or Random()
        self._base_url = endpoint.openai_url
        key = endpoint.api_key
        secret = key.get_secret_value() if key else None
        self._redactor = Redactor(secret)
        # Here, not at the top: openai takes 1 s to import, and a call's time-out runs later.
        from cornerman.clients.chat_wire import open_client, send_chat

        self._client = open_client(self._base_url, secret)
        self._send_chat = send_chat
        self._overruns = Overruns()
        self._limits = OutputLimits(endpoint, meter)
        self._adaptations = Adaptations()
        self._asking = WeakValueDictionary[str, asyncio.Lock]()

    async def __aenter__(self) -> LLM:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Wait for bookings of cancelled calls and close the connections."""
        await self._booking.aclose()
        await self._client.close()

    async def chat(
        self, scope: CallScope, request: ChatRequest, *, keep: Keep | None = None
    ) -> ChatAnswer:
        """Make a call, with retries, each attempt reserved before it and settled after.

        An answer whose tokens ran out before any text came is asked for again with a larger
        limit, up to the endpoint's `max_output_tokens`; what was enough for a model is asked for
        at once from then on. Each such attempt is paid and booked. Parameters that the endpoint
        refuses by name are adapted and asked for no more.

        Failed attempts are booked at 0 where the endpoint answered with an error status or was
        not reached, at their usage where they had one, and at their worst case otherwise: what
        timed out, was cut off or cancelled may have been done and charged all the same. An
        answer without usage is booked at its worst case too.

        Args:
            keep: Stores the answer in the transaction that settles its call: a process that is
                killed has paid for it and holds it, or neither. Answers from the cache are its
                caller's to store.

        Raises:
            UnpricedModelError: Before anything is sent.
            BadInputError: The request holds what no call can be made with.
            BudgetExceededError: The worst case of the next attempt does not fit.
            KillSwitchActiveError: No call may be started.
            LLMError: No usable answer after all attempts, or one that no retry mends.
        """
        call = self._prepare(scope, request, keep)
        call = self._with_limit(call, await self._limits.known(request.model))
        key = self._cache_key(call.asked) if self._cache else None
        if key is None:
            return self._replayed(call) or await self._attempts(call)
        # Who asks the same meanwhile waits for that answer instead of paying for another.
        lock = self._asking.get(key) or asyncio.Lock()
        self._asking[key] = lock
        async with lock:
            if (known := await self._from_cache(call, key) or self._replayed(call)) is not None:
                return known
            answer = await self._attempts(call)
            await self._meter.store_cached(key, json.dumps(asdict(answer)))
            return answer

    @staticmethod
    def _replayed(call: _Call) -> ChatAnswer | None:
        """What this call was answered before the case that makes it was interrupted."""
        queue = replay_here()
        if queue is None or queue.is_empty:
            return None
        stored = queue.take(digest_of(_ANSWER, call.asked))
        if stored is None or stored.content_type != _ANSWER:
            return None
        answer = ChatAnswer(**json.loads(stored.body))
        return replace(answer, cost_pico=0, latency_ms=0.0, attempts=0, cached=True)

    def _prepare(self, scope: CallScope, request: ChatRequest, keep: Keep | None) -> _Call:
        rates = self._endpoint.prices.require(request.model)
        asked = build_body(request)
        body = self._adaptations.apply(asked)
        simulated = self._endpoint.simulated
        # Only our own server is told: a stranger has no use for it.
        headers = {"X-Cornerman-Role": request.role} if simulated else {}
        seconds = request.deadline_seconds
        return _Call(
            scope=scope,
            request=request,
            asked=asked,
            body=body,
            rates=rates,
            worst_pico=rates.worst_cost_pico(*worst_tokens(body)),
            headers=headers,
            deadline=self._clock.now() + (math.inf if seconds is None else seconds),
            keep=keep,
        )

    @staticmethod
    def _with_limit(call: _Call, limit: int) -> _Call:
        """The call with room for at least `limit` tokens of output."""
        if limit <= output_limit(call.body):
            return call
        return _with_body(call, with_output_limit(call.body, limit))

    def _with_more_room(self, call: _Call) -> _Call | None:
        """The call with the next larger limit of its output; None when there is no larger one."""
        larger = self._limits.after(output_limit(call.body), call.request.model)
        return None if larger is None else self._with_limit(call, larger)

    async def _attempts(self, call: _Call) -> ChatAnswer:
        spent, waits = 0, 0
        for attempt in itertools.count(1):
            result, cost_pico = await self._attempt(call, attempt, spent)
            if isinstance(result, ChatAnswer):
                await self._remember_limit(call)
                return result
            spent += cost_pico
            if result.out_of_tokens:
                roomier = self._with_more_room(call)
                if roomier is None:
                    raise self._error(call, result, attempt)
                call = roomier
                continue
            if result.status_code in {400, 422} and self._adaptations.learn(
                call.body, result.message
            ):
                call = _with_body(call, self._adaptations.apply(call.body))
                continue
            waits += 1
            wait = self._wait(call, result, waits)
            if wait is None:
                raise self._error(call, result, attempt)
            await self._clock.sleep(wait)
        raise AssertionError("unreachable: the count does not end")

    async def _remember_limit(self, call: _Call) -> None:
        limit = output_limit(call.body)
        if limit > output_limit(call.asked):
            await self._limits.learn(call.request.model, limit)

    async def _attempt(
        self, call: _Call, attempt: int, spent: int
    ) -> tuple[ChatAnswer | Failure, int]:
        """One attempt's result and what it cost; `spent` is what those before it did."""
        request = call.request
        worst = self._overruns.worst_pico(request.model, call.worst_pico)
        estimate = CallEstimate(request.role, request.model, attempt, worst)
        call_id = await self._booking.reserve(call.scope, estimate)
        started = self._clock.now()
        try:
            result = await self._send(call, started)
        except BaseException as exc:
            cancelled = isinstance(exc, asyncio.CancelledError)
            latency = (self._clock.now() - started) * 1000
            lost = CallOutcome(
                "cancelled" if cancelled else "unknown",
                cost_pico=worst,
                latency_ms=latency,
                error=type(exc).__name__,
            )
            await self._booking.settle(call_id, lost)
            raise
        latency = (self._clock.now() - started) * 1000
        outcome = self._outcome(call, result, worst, latency)
        if isinstance(result, Failure):
            await self._booking.settle(call_id, outcome, self._also(call, call_id, None))
            return result, outcome.cost_pico
        answer = self._answer(call, result, outcome, attempt, spent + outcome.cost_pico)
        await self._booking.settle(call_id, outcome, self._also(call, call_id, answer))
        return answer, outcome.cost_pico

    def _also(self, call: _Call, call_id: str, answer: ChatAnswer | None) -> Also | None:
        """What is stored with a call's settlement: its trace, and what its caller keeps of it."""
        record, keep, request = self._record, call.keep, call.request
        if record is None and (keep is None or answer is None):
            return None
        said = None if answer is None else {"role": "assistant", "content": answer.text}
        trace = CallTrace(
            role=request.role,
            model=request.model,
            prompts=request.prompts,
            messages=call.body["messages"],
            response=said,
            note="" if (queue := replay_here()) is None else queue.take_note(),
        )
        again: Replay | None = None
        if answer is not None and queue is not None:
            again = Replay(digest_of(_ANSWER, call.asked), _ANSWER, json.dumps(asdict(answer)))

        def also(session: Any) -> None:
            if keep is not None and answer is not None:
                keep(session, answer)
            if record is not None:
                record(session, call_id, Recorded(call.scope, trace, again))

        return also

    async def _send(self, call: _Call, now: float) -> Completion | Failure:
        remaining = call.deadline - now
        if remaining <= 0:
            return Failure("timeout", "The deadline passed before the call was sent", free=True)
        return await self._send_chat(
            self._client,
            call.body,
            headers=call.headers,
            timeout_seconds=min(call.request.timeout_seconds, remaining),
            stream=call.request.stream,
        )

    def _outcome(
        self, call: _Call, result: Completion | Failure, worst: int, latency_ms: float
    ) -> CallOutcome:
        failure = result if isinstance(result, Failure) else None
        usage = result.usage or Usage(0, 0)
        if result.usage is not None:
            cost = call.rates.usage_pico(usage)
            self._overruns.learn(call.request.model, cost, call.worst_pico)
        else:
            cost = 0 if failure and failure.free else worst
        return CallOutcome(
            outcome=failure.kind if failure else "ok",
            input_tokens=usage.input_tokens,
            cached_tokens=usage.cached_tokens,
            output_tokens=usage.output_tokens,
            cost_pico=cost,
            latency_ms=latency_ms,
            error=self._redactor.error(failure.message) if failure else None,
        )

    def _answer(
        self, call: _Call, result: Completion, outcome: CallOutcome, attempt: int, spent: int
    ) -> ChatAnswer:
        return ChatAnswer(
            text=self._redactor.text(result.text),
            model=result.model or call.request.model,
            input_tokens=outcome.input_tokens,
            cached_tokens=outcome.cached_tokens,
            output_tokens=outcome.output_tokens,
            cost_pico=spent,
            latency_ms=outcome.latency_ms,
            attempts=attempt,
            cached=False,
            simulated=self._endpoint.simulated,
            finish_reason=result.finish_reason,
        )

    def _wait(self, call: _Call, failure: Failure, attempt: int) -> float | None:
        """Seconds until the next attempt; None when there is to be none."""
        if failure.kind == "refused" or attempt > self._endpoint.retries:
            return None
        if (failure.retry_after or 0) > MAX_RETRY_AFTER_SECONDS:
            return None
        wait = wait_seconds(attempt, failure.retry_after, self._rng)
        return wait if self._clock.now() + wait < call.deadline else None

    def _error(self, call: _Call, failure: Failure, attempts: int) -> LLMError:
        host = urlsplit(self._base_url).netloc.rpartition("@")[2]
        tries = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        text = f"No answer of {call.request.model} at {host} after {tries}: {failure.message}"
        hint = HINTS.get(failure.status_code or 0, "")
        if failure.out_of_tokens:
            hint = (
                "The model thinks for longer than its answer may be: raise MAX_OUTPUT_TOKENS "
                f"(now {self._endpoint.max_output_tokens:,}), or lower its reasoning_effort."
            )
        if failure.kind == "connection":
            hint = "Check OPENAI_BASE_URL and that the endpoint is up."
        return LLMError(
            self._redactor.error(text),
            kind=failure.kind,
            status_code=failure.status_code,
            retry_after_seconds=failure.retry_after,
            out_of_tokens=failure.out_of_tokens,
            hint=hint,
        )

    def _cache_key(self, body: dict[str, Any]) -> str | None:
        # The rehearsal endpoint has another port each time, and says the same on each.
        return cache_key("rehearsal" if self._endpoint.simulated else self._base_url, body)

    async def _from_cache(self, call: _Call, key: str) -> ChatAnswer | None:
        estimate = CallEstimate(call.request.role, call.request.model, 0, 0)
        stored = await self._meter.cached(call.scope, estimate, key)
        if stored is None:
            return None
        answer = ChatAnswer(**json.loads(stored))
        return replace(answer, cost_pico=0, latency_ms=0.0, attempts=0, cached=True)
