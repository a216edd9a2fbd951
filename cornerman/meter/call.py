"""One call through the meter: reserved, forwarded, read while it passes, settled."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import httpx2

from cornerman.clients.chat_answer import kind_of_status
from cornerman.clients.chat_wire import NO_CREDIT, UNSENT_ERRORS
from cornerman.clients.rates import Rates
from cornerman.domain.errors import CornermanError, StopError, UnpricedModelError
from cornerman.domain.money.ledger import CallEstimate, CallOutcome, Outcome
from cornerman.domain.secrets import Redactor
from cornerman.domain.traces import CallTrace, Recorded, Replay, digest_of
from cornerman.meter.accounts import CaseKey, RunAccount, stop_code
from cornerman.meter.dialects.base import Bound, Dialect, Json, Reader
from cornerman.meter.sse import EventSplitter, event_data
from cornerman.meter.wire import as_json, kept_headers

# Larger answers still pass; what is read of them, and kept, ends here.
_MOST_READ = 16 * 1024 * 1024
_REPLAY_MOST = 1024 * 1024
_FREE = {"rate_limited", "server_error", "refused", "connection"}


@dataclass
class Head:
    """How an answer begins; `chunks` follow it."""

    status: int
    headers: dict[str, str]
    streams: bool = False


@dataclass
class Upstream:
    """Where a call is forwarded to."""

    client: httpx2.AsyncClient
    url: str
    headers: dict[str, str]
    secret: str | None


@dataclass(frozen=True)
class _Price:
    """What a call may cost in picodollars: by its prices, and what is reserved for it."""

    rates: Rates
    plain: int
    worst: int


@dataclass
class _Read:
    """What came back so far."""

    reader: Reader
    status: int = 0
    body: bytearray = field(default_factory=bytearray)
    content_type: str = ""


class CutShortError(Exception):
    """Raised into a streamed answer, whose connection then breaks off as the upstream's did."""


class MeteredCall:
    """One request of an agent, in the meter's loop.

    Its forwarding goes on in a task of its own when whoever asked has gone, so that what was sold
    is known and booked.
    """

    def __init__(
        self, key: CaseKey, dialect: Dialect, asked: Json, bound: Bound, upstream: Upstream,
        headers: Mapping[str, str], raw: bytes,
    ) -> None:  # fmt: skip
        self.key = key
        self._dialect = dialect
        self._asked = asked
        self._bound = bound
        self._upstream = upstream
        self._raw = raw
        self.digest = digest_of(dialect.path, asked)
        retries = headers.get("x-stainless-retry-count", "")
        told = int(retries) + 1 if retries.isdecimal() and len(retries) < 4 else 1
        self._attempt = max(told, key.failed[self.digest] + 1)
        loop = asyncio.get_running_loop()
        self.head: asyncio.Future[Head] = loop.create_future()
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._ending = False
        self._is_short = False
        self._cut_by: CornermanError | None = None

    # -- its life

    def start(self) -> None:
        """Begin; `head` and then `chunks` tell what comes."""
        self._task = asyncio.create_task(self._run())

    def cut(self, reason: CornermanError | None) -> None:
        """See `CallInFlight`. One that is being booked already goes on to its end."""
        if self._task is not None and not self._ending:
            self._cut_by = reason
            self._task.cancel()

    async def over(self) -> None:
        """See `CallInFlight`."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def chunks(self) -> AsyncIterator[bytes]:
        """The answer's body.

        Raises:
            CutShortError: It was cut, here or upstream: its end must not look like one.
        """
        while (chunk := await self._chunks.get()) is not None:
            yield chunk
        if self._is_short:
            raise CutShortError

    def _answer(self, head: Head, body: bytes | None = None) -> None:
        if not self.head.done():
            self.head.set_result(head)
        if body is not None:
            self._chunks.put_nowait(body)

    def _refuse(self, status: int, code: str, message: str) -> None:
        body = json.dumps(self._dialect.refusal(status, code, message)).encode()
        headers = {"content-type": "application/json"}
        if status < 500:
            headers["x-should-retry"] = "false"
        if not self.head.done():
            self._answer(Head(status, headers), body)

    async def _run(self) -> None:
        try:
            await self._metered()
        except asyncio.CancelledError:
            if self._cut_by is not None:
                self._refuse(403, stop_code(self._cut_by), self._cut_by.message)
            else:
                self._refuse(401, "case_ended", "The case that this key belongs to has ended.")
        except Exception as error:  # noqa: BLE001 - whoever asked must hear something
            self._refuse(500, "meter_failed", f"{type(error).__name__}: {error}")
        finally:
            self._chunks.put_nowait(None)
            self.key.end(self)

    async def _metered(self) -> None:
        account = self.key.account
        if (stored := self.key.replay.take(self.digest)) is not None:
            await self._replayed(stored)
            return
        try:
            if account.stopped is not None:
                raise account.stopped
            account.check()
            price = self._price(account)
            estimate = CallEstimate(self.key.role, self._bound.model, self._attempt, price.worst)
            with self.key.waiting():
                call_id = await account.booking.reserve(account.scope(self.key.subject), estimate)
        except UnpricedModelError as error:
            self._refuse(400, "unpriced_model", f"{error.message} {error.hint}")
            return
        except StopError as error:
            self.key.refused = self.key.refused or error
            account.refuse(error)
            self._refuse(403, stop_code(error), error.message)
            return
        await self._forwarded(call_id, price)

    def _price(self, account: RunAccount) -> _Price:
        bound = self._bound
        rates = account.endpoint.prices.require(bound.model, embedding=self._dialect.is_embedding)
        plain = rates.worst_cost_pico(bound.input_tokens, bound.output_tokens) * bound.factor
        return _Price(rates, plain, account.overruns.worst_pico(bound.model, plain))

    # -- forwarding

    async def _forwarded(self, call_id: str, price: _Price) -> None:
        read = _Read(self._dialect.reader(self._asked))
        started = time.monotonic()
        failure: tuple[Outcome, str] | None = None
        cancelled: asyncio.CancelledError | None = None
        last: bytes | None = None
        try:
            last = await self._pass(read)
        except asyncio.CancelledError as error:
            cancelled, failure = error, ("cancelled", "the case had ended, or was stopped")
        except httpx2.HTTPError as error:
            failure = _lost(error, began=read.status > 0)
        except Exception as error:  # noqa: BLE001 - it was sent, so it must be booked
            failure = "unknown", f"{type(error).__name__}: {error}"
        self._ending = True
        self._is_short = failure is not None and self.head.done()
        outcome = self._outcome(read, failure, price, (time.monotonic() - started) * 1000)
        if outcome.outcome not in {"ok", "cancelled"}:
            self.key.failed[self.digest] += 1
        await self._settle(call_id, outcome, read)
        if cancelled is not None:
            raise cancelled
        if failure is not None:
            # Once it has begun, nothing but its abrupt end can tell.
            self._refuse(502, "upstream_unreachable", outcome.error or failure[1])
        elif last is not None:
            self._chunks.put_nowait(last)

    async def _pass(self, read: _Read) -> bytes | None:
        """Pass the answer on as it comes; return what is given only once it is booked."""
        body = json.dumps(self._bound.body).encode() if self._bound.is_changed else self._raw
        upstream = self._upstream
        request = upstream.client.build_request(
            "POST", upstream.url, headers=upstream.headers, content=body
        )
        response = await upstream.client.send(request, stream=True)
        try:
            read.status = response.status_code
            read.content_type = response.headers.get("content-type", "")
            head = Head(response.status_code, kept_headers(response.headers))
            if "text/event-stream" in read.content_type and response.status_code < 400:
                head.streams = True
                self._answer(head)
                return await self._pass_events(response, read)
            async for chunk in response.aiter_raw():
                read.body += chunk
                if len(read.body) > 4 * _MOST_READ:
                    raise httpx2.ReadError("the answer is longer than 64 MiB")
        finally:
            await response.aclose()
        if response.status_code < 400:
            read.reader.whole(as_json(bytes(read.body)))
        self._answer(head)
        return bytes(read.body)

    async def _pass_events(self, response: httpx2.Response, read: _Read) -> bytes:
        splitter, held = EventSplitter(), b""
        async for chunk in response.aiter_raw():
            for event in splitter.feed(chunk):
                shown = read.reader.event(event_data(event))
                if len(read.body) < _MOST_READ:
                    read.body += event
                if not shown:
                    continue
                if held or read.reader.is_complete or b"[DONE]" in event:
                    # The end is given when it is booked: what an agent holds is paid and kept.
                    held += event
                else:
                    self._chunks.put_nowait(event)
        return held + splitter.rest()

    # -- booking

    def _outcome(
        self,
        read: _Read,
        failure: tuple[Outcome, str] | None,
        price: _Price,
        latency_ms: float,
    ) -> CallOutcome:
        reader, kind, message = read.reader, "ok", None
        if failure is not None:
            kind, message = failure
        elif read.status >= 400:
            kind, message = _refused(read)
        elif reader.error is not None:
            kind, message = "malformed", reader.error
        elif not reader.is_complete:
            kind, message = "truncated", "The stream ended before its answer did."
        usage, model = reader.usage, self._bound.model
        if usage is not None and (kind in {"ok", "malformed"} or reader.is_complete):
            cost = self._bound.factor * price.rates.usage_pico(usage)
            self.key.account.overruns.learn(model, cost, price.plain)
        else:
            # Nobody says what was sold: an answer that began, or that may have, is booked whole.
            cost = 0 if kind in _FREE else price.worst
            usage = None if kind != "ok" else usage
        return CallOutcome(
            outcome=cast("Outcome", kind),
            input_tokens=usage.input_tokens if usage else 0,
            cached_tokens=usage.cached_tokens if usage else 0,
            output_tokens=usage.output_tokens if usage else 0,
            cost_pico=cost,
            latency_ms=latency_ms,
            error=Redactor(self._upstream.secret).error(message) if message else None,
        )

    async def _settle(self, call_id: str, outcome: CallOutcome, read: _Read) -> None:
        account, record = self.key.account, self.key.account.record
        if record is None:
            self._trace(read.reader)
            await account.booking.settle(call_id, outcome)
            return
        trace, again = self._trace(read.reader), self._kept_answer(outcome, read)
        kept = Recorded(account.scope(self.key.subject), trace, again)
        await account.booking.settle(
            call_id, outcome, lambda session: record(session, call_id, kept)
        )

    def _trace(self, reader: Reader) -> CallTrace:
        key, model = self.key, self._bound.model
        note = key.replay.take_note()
        if key is key.account.own_key:
            note = f"Made with no case's key, as by a thread without a context. {note}".strip()
        messages, tools = self._dialect.messages(self._asked)
        # A tool's description may be a prompt too.
        names = key.prompts.names_in([*messages, *tools])
        key.prompts_seen.update(names)
        key.finish_reason = reader.finish_reason
        shared = _shared(key.last_messages, messages)
        key.last_messages = messages
        trace = CallTrace(
            role=key.role,
            model=model,
            prompts=names,
            messages=messages[shared:],
            tools=tools,
            response=reader.response(),
            tool_calls=reader.tool_calls(),
            note=note,
            shared=shared,
        )
        key.heard(trace)
        return trace

    def _kept_answer(self, outcome: CallOutcome, read: _Read) -> Replay | None:
        if outcome.outcome != "ok" or len(read.body) > _REPLAY_MOST:
            return None
        return Replay(self.digest, read.content_type, read.body.decode("utf-8", "replace"))

    async def _replayed(self, stored: Replay) -> None:
        """Give the answer that the interrupted case has paid for."""
        reader = self._dialect.reader(self._asked)
        headers = {"content-type": stored.content_type, "x-cornerman-replayed": "true"}
        head = Head(200, headers, streams="text/event-stream" in stored.content_type)
        if not head.streams:
            reader.whole(as_json(stored.body.encode()))
            self._hear_again(reader)
            self._answer(head, stored.body.encode())
            return
        self._answer(head)
        splitter = EventSplitter()
        for event in splitter.feed(stored.body.encode()):
            if reader.event(event_data(event)):
                self._chunks.put_nowait(event)
        self._hear_again(reader)

    def _hear_again(self, reader: Reader) -> None:
        """Let the case know what a call said whose trace is stored already."""
        messages, _ = self._dialect.messages(self._asked)
        names = self.key.prompts.names_in(messages)
        self.key.prompts_seen.update(names)
        calls = reader.tool_calls()
        self.key.heard(
            CallTrace(self.key.role, self._bound.model, names, messages, tool_calls=calls)
        )


def _refused(read: _Read) -> tuple[str, str]:
    text = bytes(read.body[:600]).decode("utf-8", "replace")
    kind = kind_of_status(read.status, without_credit=NO_CREDIT in text)
    return kind, f"Error code: {read.status} - {text}"


def _lost(error: httpx2.HTTPError, *, began: bool) -> tuple[Outcome, str]:
    """What a connection's failure means: free where nothing was sent, else nobody knows."""
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, UNSENT_ERRORS):
        return "connection", text
    if isinstance(error, httpx2.TimeoutException):
        return "timeout", text
    return ("truncated" if began else "unknown"), text


def _shared(before: Any, now: list[Any]) -> int:
    count = 0
    for old, new in zip(before, now, strict=False):
        if old != new:
            break
        count += 1
    return count
