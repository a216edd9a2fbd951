"""Server-sent events.

Live events: one poller reads what is new for all who watch; each reader goes at its own pace.

Nothing is queued for anybody. A feed keeps the newest events of its run; a reader takes from it
what comes after its own place, and one that has fallen further behind reads the database. So a
slow reader costs no memory and holds nobody up.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi.responses import StreamingResponse

from cornerman.domain.errors import NotFoundError
from cornerman.domain.runs import Event, RunStatus
from cornerman.gateway.figures import Figures
from cornerman.storage.database import Database
from cornerman.storage.events import read_events
from cornerman.storage.run_reads import RunHead, read_live_heads, read_run_heads

# Proxies close what is silent for long.
IDLE_SECONDS = 10.0
SIGN_OF_LIFE = ": alive\n\n"
_RETRY_MS = 2_000


def message(data: str, *, id: str | None = None, event: str | None = None) -> str:
    """One message; `data` is one line of JSON."""
    lines = [f"event: {event}"] if event else []
    if id is not None:
        lines.append(f"id: {id}")
    return "\n".join([*lines, f"data: {data}"]) + "\n\n"


def end_message(facts: dict[str, Any]) -> str:
    """The last message: a reader should not come back for more."""
    return message(json.dumps(facts), event="end")


def stream_response(chunks: AsyncIterable[str], figures: Figures) -> StreamingResponse:
    """The answer that sends these messages as they come."""

    async def counted() -> AsyncIterator[str]:
        with figures.streams.labels("sse").track_inprogress():
            yield f"retry: {_RETRY_MS}\n\n"
            async for chunk in chunks:
                yield chunk

    headers = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}
    return StreamingResponse(counted(), media_type="text/event-stream", headers=headers)


log = logging.getLogger(__name__)

POLL_SECONDS = 0.15
_AFTER_TROUBLE_SECONDS = 1.0
_KEPT_EVENTS = 256
_PAGE = 200
# Ended runs stay in the stream of all runs for so long, so that their last events are seen.
_LINGER = timedelta(seconds=15)


@dataclass(frozen=True)
class Line:
    """An event and its JSON, made once for all readers."""

    event: Event
    data: dict[str, Any]
    text: str


def line_of(event: Event) -> Line:
    """Return the event in the form in which it is sent."""
    data = event.as_dict()
    return Line(event, data, json.dumps(data, ensure_ascii=False, separators=(",", ":")))


class Feed:
    """The newest events of one run."""

    def __init__(self, head: RunHead) -> None:
        self.head = head
        self.watchers = 0
        self.read_to = head.last_seq
        self.settled = False
        self.ended_at: float | None = None
        self._kept: deque[Line] = deque(maxlen=_KEPT_EVENTS)

    def keep(self, events: list[Event]) -> None:
        """Take in what the poller read."""
        for event in events:
            self._kept.append(line_of(event))
            self.read_to = event.seq

    def after(self, seq: int) -> list[Line] | None:
        """Lines after `seq`; None when they are no longer kept."""
        if seq >= self.read_to:
            return []
        if not self._kept or self._kept[0].event.seq > seq + 1:
            return None
        return [line for line in self._kept if line.event.seq > seq]


def _unread_feed(head: RunHead) -> Feed:
    """A feed whose newest events the poller reads, once for all who come at the same time."""
    feed = Feed(head)
    feed.read_to = max(0, head.last_seq - _KEPT_EVENTS)
    return feed


class EventHub:
    """All feeds of a gateway. Use `lines` and `lines_of_all`; `run_forever` moves them."""

    def __init__(self, db: Database, figures: Figures) -> None:
        self._db = db
        self._figures = figures
        self._feeds: dict[str, Feed] = {}
        self._watching_all = 0
        self._woken = asyncio.Event()
        self._wanted = asyncio.Event()
        self.closed = False

    # -- readers

    async def lines(
        self, run_id: str, after: int, *, idle_seconds: float
    ) -> AsyncGenerator[list[Line]]:
        """Yield a run's events after `after` until the run has ended and all are told.

        Yields an empty list when nothing came for `idle_seconds`, for a sign of life.

        Raises:
            NotFoundError: There is no such run.
        """
        async with self._watch(run_id) as feed:
            while not self.closed:
                woken = self._woken
                head = feed.head
                lines = await self._after(feed, after)
                if lines:
                    after = lines[-1].event.seq
                    yield lines
                elif head.finished and after >= head.last_seq:
                    return
                else:
                    yield_idle = not await _is_set(woken, idle_seconds)
                    if yield_idle:
                        yield []

    async def lines_of_all(
        self, places: dict[str, int], *, idle_seconds: float
    ) -> AsyncGenerator[list[tuple[RunHead, Line | None]]]:
        """Yield new events of all runs, for ever; `places` is kept at what was yielded.

        A run that was accepted, begins or ends is yielded without a line: it may have no event
        for seconds, and whoever watches should know of it.

        Args:
            places: Where the reader is, by run id; runs that it does not name are read from where
                they are now, or from their first event if they begin later.
        """
        self._watching_all += 1
        self._wanted.set()
        try:
            started = await self._db.read(read_live_heads, finished_since=datetime.now(UTC))
            for run_id, head in started.items():
                places.setdefault(run_id, head.last_seq)
            known: dict[str, RunStatus] = {name: head.status for name, head in started.items()}
            while not self.closed:
                woken = self._woken
                found: list[tuple[RunHead, Line | None]] = self._turned(known)
                found += await self._news(places)
                if found:
                    yield found
                elif not await _is_set(woken, idle_seconds):
                    yield []
        finally:
            self._watching_all -= 1

    async def wait_until_ended(self, run_id: str, seconds: float) -> RunHead | None:
        """Wait for a run's end; None when it has not come after `seconds`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._watch(run_id) as feed:
                while not self.closed:
                    woken = self._woken
                    if feed.head.finished:
                        return feed.head
                    await woken.wait()
        return None

    def close(self) -> None:
        """Let every reader end."""
        self.closed = True
        self._wake()

    async def _after(self, feed: Feed, seq: int) -> list[Line]:
        lines = feed.after(seq)
        if lines is None:
            events = await self._db.read(read_events, feed.head.id, after=seq, limit=_PAGE)
            lines = [line_of(event) for event in events]
        return lines

    def _turned(self, known: dict[str, RunStatus]) -> list[tuple[RunHead, Line | None]]:
        """Runs whose status is not the one in `known`, which is brought up to date."""
        heads = [feed.head for feed in self._feeds.values()]
        turned = [head for head in heads if known.get(head.id) != head.status]
        known.update({head.id: head.status for head in turned})
        return [(head, None) for head in turned]

    async def _news(self, places: dict[str, int]) -> list[tuple[RunHead, Line]]:
        found: list[tuple[RunHead, Line]] = []
        for feed in list(self._feeds.values()):
            place = places.setdefault(feed.head.id, 0)
            if feed.read_to > place:
                lines = await self._after(feed, place)
                found += [(feed.head, line) for line in lines]
                if lines:
                    places[feed.head.id] = lines[-1].event.seq
        return found

    def live_places(self, places: dict[str, int]) -> dict[str, int]:
        """The places in runs that may still have news: what a reader needs to come back."""
        return {run_id: seq for run_id, seq in places.items() if run_id in self._feeds}

    @contextlib.asynccontextmanager
    async def _watch(self, run_id: str) -> AsyncGenerator[Feed]:
        feed = self._feeds.get(run_id)
        if feed is None:
            heads = await self._db.read(read_run_heads, [run_id])
            if run_id not in heads:
                raise NotFoundError(
                    f"There is no run {run_id!r}.", field="run_id", hint="cornerman runs list"
                )
            feed = self._feeds.setdefault(run_id, _unread_feed(heads[run_id]))
        feed.watchers += 1
        self._wanted.set()
        try:
            yield feed
        finally:
            feed.watchers -= 1

    # -- the poller

    async def run_forever(self) -> None:
        """Move the feeds until cancelled; asleep while nobody watches."""
        while True:
            await self._wanted.wait()
            pause = POLL_SECONDS
            try:
                if await self._poll():
                    self._wake()
            except Exception:
                # A database that is away for a minute must not end all streams.
                log.exception("Reading events failed; it is tried again")
                pause = _AFTER_TROUBLE_SECONDS
            await asyncio.sleep(pause)

    async def _poll(self) -> bool:
        """Read what is new; returns whether anything is."""
        self._drop_unwatched()
        if not self._feeds and not self._watching_all:
            self._wanted.clear()
            return False
        changed = bool(self._watching_all) and await self._join_live_runs()
        heads = await self._db.read(read_run_heads, list(self._feeds))
        for run_id, head in heads.items():
            feed = self._feeds.get(run_id)
            if feed is None:
                continue
            changed |= head != feed.head or feed.read_to < head.last_seq
            await self._catch_up(feed, head)
            feed.head = head
            if head.finished and feed.ended_at is None:
                feed.ended_at = time.monotonic()
        return changed

    async def _catch_up(self, feed: Feed, head: RunHead) -> None:
        while feed.read_to < head.last_seq:
            events = await self._db.read(
                read_events, head.id, after=feed.read_to, limit=_KEPT_EVENTS
            )
            if not events:
                return
            feed.keep(events)
            if feed.settled:
                lag = datetime.now(UTC) - events[-1].created_at
                self._figures.saw_lag(lag.total_seconds())
        feed.settled = True

    async def _join_live_runs(self) -> bool:
        """Take up runs that nobody knew of; returns whether there were any."""
        joined = False
        since = datetime.now(UTC) - _LINGER
        for run_id, head in (await self._db.read(read_live_heads, finished_since=since)).items():
            if run_id not in self._feeds:
                # A run that nobody knew of is news from its first event on.
                self._feeds[run_id] = _unread_feed(head)
                joined = True
        return joined

    def _drop_unwatched(self) -> None:
        for run_id, feed in list(self._feeds.items()):
            ended_long_ago = feed.ended_at is not None and (
                time.monotonic() - feed.ended_at > _LINGER.total_seconds() + 5
            )
            if feed.watchers == 0 and (ended_long_ago or not self._watching_all):
                del self._feeds[run_id]

    def _wake(self) -> None:
        woken, self._woken = self._woken, asyncio.Event()
        woken.set()


async def _is_set(event: asyncio.Event, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
        return True
    return False
