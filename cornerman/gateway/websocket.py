"""`/ws/workflow/{workflow}`: start training or an evaluation, follow it live, come back, end it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar, cast

import structlog
from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from cornerman.domain.errors import BadInputError, CornermanError
from cornerman.domain.json_values import json_fault, shown
from cornerman.domain.runs import Run
from cornerman.domain.training import TrainSpec
from cornerman.gateway.auth import authenticate, bearer_token
from cornerman.gateway.errors import GatewayError, not_found, with_hint
from cornerman.gateway.hub import Line
from cornerman.gateway.messages import parse_evaluation_message, parse_training_message
from cornerman.gateway.routes.runs import LAST_SEQ
from cornerman.gateway.state import Gateway, gateway_of
from cornerman.runner import cancel_run, create_evaluation_run, create_training_run, start_run
from cornerman.settings import Settings
from cornerman.storage import runs
from cornerman.storage.database import Database

router = APIRouter()
log: structlog.stdlib.BoundLogger = structlog.get_logger("cornerman.gateway.websocket")

REFUSED_CODE = 4401
_IDLE_SECONDS = 3_600.0
# A socket whose run has ended and that asks for nothing more is closed.
LINGER_SECONDS = 30.0
_CANCEL_SECONDS = 5.0
_TYPES = "train_workflow, evaluate_workflow, attach, cancel and ping"
SpecT = TypeVar("SpecT", bound=TrainSpec)
Create = Callable[[Database, Settings, SpecT], Awaitable[tuple[Run, dict[str, Any], bool]]]


@router.websocket("/ws/workflow/{workflow}")
async def workflow_socket(socket: WebSocket, workflow: str) -> None:
    """Serve one client until it leaves."""
    gateway = gateway_of(socket)
    token, subprotocol = _credentials(socket)
    try:
        caller = authenticate(socket, gateway, "api", token)
    except GatewayError as error:
        # A close code reaches the client only after the handshake.
        await socket.accept(subprotocol=subprotocol)
        await socket.close(REFUSED_CODE, error.error)
        return
    await socket.accept(subprotocol=subprotocol)
    with (
        structlog.contextvars.bound_contextvars(workflow_id=workflow, caller=caller),
        gateway.figures.streams.labels("websocket").track_inprogress(),
    ):
        client = _Client(gateway, socket, workflow)
        try:
            await client.serve()
        finally:
            await client.close()


def _credentials(socket: WebSocket) -> tuple[str | None, str | None]:
    """The secret that was presented, and the subprotocol to answer with.

    Browsers cannot set headers on a websocket, so `?access_token=` and subprotocols do as well:
    `bearer, TOKEN`, or the token alone, which browsers take no answer to.
    """
    offered: list[str] = socket.scope.get("subprotocols") or []
    # Never the token itself: an answer holds no secret.
    subprotocol = "bearer" if "bearer" in offered else None
    token = bearer_token(socket) or socket.query_params.get("access_token")
    if token is None and offered and offered[-1] != "bearer":
        token = offered[offered.index("bearer") + 1] if subprotocol else offered[-1]
    return token, subprotocol


class _Client:
    """One socket: reads what its client wants while one run's events go out."""

    def __init__(self, gateway: Gateway, socket: WebSocket, workflow: str) -> None:
        self._gateway = gateway
        self._socket = socket
        self._workflow = workflow
        self._following: asyncio.Task[None] | None = None
        self._run_id = ""
        self._ended_one = False
        self._waiting: asyncio.Timeout | None = None
        self._sending = asyncio.Lock()

    async def serve(self) -> None:
        """Answer messages until the client leaves."""
        with contextlib.suppress(WebSocketDisconnect):
            while not self._gateway.hub.closed:
                text = await self._next_message()
                if text is None:
                    await self._socket.close(1000, "idle")
                    return
                await self._answer(text)

    async def close(self) -> None:
        """Stop following; the run goes on."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)

    async def _next_message(self) -> str | None:
        """What the client says next; None when it has been silent for too long."""
        while True:
            idle = self._ended_one
            try:
                async with asyncio.timeout(LINGER_SECONDS if idle else _IDLE_SECONDS) as waiting:
                    self._waiting = waiting
                    message = await self._socket.receive()
            except TimeoutError:
                if self._is_following() and not self._ended_one:
                    continue
                return None
            finally:
                self._waiting = None
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1000))
            return message.get("text") or (message.get("bytes") or b"").decode("utf-8", "replace")

    async def _answer(self, text: str) -> None:
        try:
            message = _parse(text)
            kind = message.get("type")
            if kind == "train_workflow":
                await self._train(message)
            elif kind == "evaluate_workflow":
                await self._evaluate(message)
            elif kind == "attach":
                await self._attach(message)
            elif kind == "cancel":
                await self._cancel(message)
            elif kind == "ping":
                await self._send({"type": "pong"})
            else:
                raise BadInputError(
                    f"Unknown message type {shown(kind)}; known are {_TYPES}.", field="type"
                )
        except CornermanError as error:
            await self._send_error(with_hint(error.message, error.hint))
        except (WebSocketDisconnect, asyncio.CancelledError):
            raise
        except Exception:
            # A fault of ours must not cost the client its socket, and the run that it follows.
            log.exception("a message could not be answered")
            await self._send_error("That could not be answered; the gateway's log says why.")

    async def _train(self, message: dict[str, Any]) -> None:
        await self._begin(message, "training", parse_training_message, create_training_run)

    async def _evaluate(self, message: dict[str, Any]) -> None:
        await self._begin(message, "evaluation", parse_evaluation_message, create_evaluation_run)

    async def _begin(
        self,
        message: dict[str, Any],
        block: str,
        parse: Callable[[str, Mapping[str, Any]], SpecT],
        create: Create[SpecT],
    ) -> None:
        """Store the run that a message asks for, follow it, and start it if it is new."""
        self._refuse_second()
        try:
            # Thousands of cases take a while to check; others must not wait for that.
            spec = await asyncio.to_thread(parse, self._workflow, message)
            run, parameters, new = await create(self._gateway.db, self._gateway.settings, spec)
        except BadInputError as error:
            said = with_hint(error.message, error.hint)
            await self._send_error(f"Invalid {block} payload: {said}")
            return
        log.info(f"{block} asked for", run_id=run.id, new=new)
        self._follow(run.id, 0, naming=message.get("execution_id") is None)
        if new:
            settings = self._gateway.settings
            await start_run(self._gateway.db, run.kind, parameters, run.id, settings=settings)

    async def _attach(self, message: dict[str, Any]) -> None:
        self._refuse_second()
        run = await self._run_named(message)
        after = message.get("after") or 0
        if not isinstance(after, int) or isinstance(after, bool) or not 0 <= after <= LAST_SEQ:
            raise BadInputError(
                f"after: {shown(after)} must be a whole number of 0 to {LAST_SEQ}.", field="after"
            )
        self._follow(run.id, after)

    async def _cancel(self, message: dict[str, Any]) -> None:
        run = await self._run_named(message)
        log.info("cancel asked for", run_id=run.id)
        await cancel_run(self._gateway.db, run.id, settings=self._gateway.settings)
        if self._is_following() and self._run_id == run.id:
            return  # its end is told to this socket anyway
        await self._gateway.hub.wait_until_ended(run.id, _CANCEL_SECONDS)
        await self._send_end(run.id)

    def _refuse_second(self) -> None:
        if self._is_following():
            raise BadInputError(
                f"This socket follows run {self._run_id} already; open another one.", field="type"
            )

    def _is_following(self) -> bool:
        return self._following is not None and not self._following.done()

    async def _run_named(self, message: dict[str, Any]) -> Run:
        run_id = message.get("execution_id")
        if not isinstance(run_id, str) or not run_id:
            raise BadInputError("execution_id: is required.", field="execution_id")
        if json_fault(run_id):  # no database would take it, so none holds it
            raise not_found("run", shown(run_id))
        run = await self._gateway.db.read(runs.read_run, run_id)
        if run is None or run.workflow_id != self._workflow:
            raise not_found("run", run_id, workflow=self._workflow)
        return run

    def _follow(self, run_id: str, after: int, *, naming: bool = False) -> None:
        self._run_id = run_id
        self._ended_one = False
        telling = self._tell(run_id, after, naming=naming)
        self._following = asyncio.create_task(telling, name=f"follow-{run_id}")

    async def _tell(self, run_id: str, after: int, *, naming: bool) -> None:
        """Send a run's events at the client's own pace, then how it ended."""
        try:
            async for lines in self._gateway.hub.lines(run_id, after, idle_seconds=60.0):
                for line in lines:
                    await self._send_text(_with_run(line, run_id) if naming else line.text)
            if not self._gateway.hub.closed:
                await self._send_end(run_id)
        except (WebSocketDisconnect, RuntimeError):
            # Sending on a socket that is just closing is a RuntimeError; the client is gone then.
            return
        except Exception:
            # Silence would look like a run that has nothing to tell.
            log.exception("following a run failed", run_id=run_id)
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                await self._send_error(
                    f"The events of run {run_id} cannot be read at the moment. It goes on; attach "
                    "to it again after the last event that came."
                )

    async def _send_end(self, run_id: str) -> None:
        run = await self._gateway.db.read(runs.read_run, run_id)
        if run is not None and run.finished:
            await self._send(end_of(run))
            if run_id == self._run_id or not self._is_following():
                self._linger()
        elif run is not None:
            await self._send({"status": "cancelling", "execution_id": run_id})

    def _linger(self) -> None:
        """Close the socket by itself before long, whatever its reader was waiting for."""
        self._ended_one = True
        if self._waiting is not None:
            self._waiting.reschedule(asyncio.get_running_loop().time() + LINGER_SECONDS)

    async def _send_error(self, text: str) -> None:
        await self._send({"status": "error", "error": text})

    async def _send(self, message: dict[str, Any]) -> None:
        await self._send_text(json.dumps(message, ensure_ascii=False))

    async def _send_text(self, text: str) -> None:
        async with self._sending:
            # Half of a surrogate pair cannot be sent; a client may have asked for it by name.
            await self._socket.send_text(text.encode("utf-8", "replace").decode())


def _with_run(line: Line, run_id: str) -> str:
    """The event, and which run it belongs to: whoever gave no id learns it here."""
    return f'{line.text[:-1]},"execution_id":{json.dumps(run_id)}}}'


def end_of(run: Run) -> dict[str, Any]:
    """The last message about a run."""
    if run.status == "failed":
        error = run.error or {}
        said = str(error.get("message") or "The run failed.")
        return {"status": "error", "error": with_hint(said, str(error.get("hint") or ""))}
    if run.status == "stopped":
        return {"status": "stopped", "stopped_by": run.stopped_by}
    return {"status": run.status}


def _parse(text: str) -> dict[str, Any]:
    try:
        message: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise BadInputError("Expected a message of one JSON object; this is no JSON.") from None
    if not isinstance(message, dict):
        raise BadInputError(f"Expected a JSON object, got {shown(message)}.")
    return cast("dict[str, Any]", message)
