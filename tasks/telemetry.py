"""Runs, cases, battles, calls and tools as OpenTelemetry spans, by its GenAI conventions.

Spans are made of what is stored, once a case or a battle has ended, and leave the process in a
thread of the SDK's: an exporter that is slow or away holds nothing up, and costs what it loses.
Which collector, and with what headers, is said by OpenTelemetry's own variables.

Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from cornerman.domain.runs import RunKind
from cornerman.storage.database import Database
from cornerman.storage.traces import read_trace

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span

log = logging.getLogger(__name__)

_FLUSH_MS = 2_000
_PROVIDERS = (("claude", "anthropic"), ("gpt", "openai"), ("o1", "openai"), ("o3", "openai"))
Attributes = Mapping[str, str | int | float | bool | Sequence[str]]


class Telemetry:
    """One process's spans of one run.

    Args:
        with_text: Whether messages and answers are in them, as
            OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT asks.
    """

    def __init__(self, db: Database, *, with_text: bool = False) -> None:
        # A second of imports, for those who have a collector.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        self._db = db
        self._with_text = with_text
        # Its own, not the process's: an agent may have set up one for itself.
        self._provider = TracerProvider(resource=Resource.create({"service.name": "cornerman"}))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("cornerman")
        self._runs: dict[str, Span] = {}

    def begin(self, run_id: str, kind: RunKind, workflow_id: str) -> None:
        """Start a run's span."""
        facts = {"cornerman.run.id": run_id, "cornerman.workflow.id": workflow_id}
        span = self._tracer.start_span(f"{kind} {workflow_id}", attributes=facts)
        self._runs[run_id] = span

    async def ended(
        self, run_id: str, subject: str, *, name: str, conversation: str, began: float,
        facts: Attributes, error: str | None = None,
    ) -> None:  # fmt: skip
        """Make the spans of a case or battle that has ended, its calls and their tools.

        Args:
            name: Of the agent, for the span.
            conversation: Names the talk in every one of its spans.
            began: By `time.time()`.
            error: Why it has no result.
        """
        try:
            calls = await self._db.read(read_trace, run_id, subject)
            self._make(run_id, name, conversation, began, facts, error, calls)
        except Exception:
            # What is only shown elsewhere must not fail what is paid for.
            log.exception("The spans of %s could not be made", subject)

    def _make(
        self, run_id: str, name: str, conversation: str, began: float, facts: Attributes,
        error: str | None, calls: list[dict[str, Any]],
    ) -> None:  # fmt: skip
        talk = {"gen_ai.conversation.id": conversation}
        about: dict[str, Any] = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": name,
            **talk,
            **facts,
        }
        span = self._tracer.start_span(
            f"invoke_agent {name}",
            context=self._under(self._runs.get(run_id)),
            start_time=_ns(began),
            attributes=about,
        )
        inside = self._under(span)
        for call, following in zip(calls, [*calls[1:], None], strict=True):
            self._call(call, inside, talk)
            self._tools(call, following, inside, talk)
        _end(span, time.time(), error)

    def _call(self, call: dict[str, Any], inside: Context | None, talk: dict[str, str]) -> None:
        usage, model = call["usage"], call["model"]
        facts: dict[str, Any] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": _provider(model),
            "gen_ai.request.model": model,
            "gen_ai.usage.input_tokens": usage["input_tokens"],
            "gen_ai.usage.output_tokens": usage["output_tokens"],
            "cornerman.role": call["role"],
            "cornerman.cost_usd": call["cost_usd"],
            "cornerman.prompts": call["prompts"],
            **talk,
        }
        if self._with_text:
            said = {"role": "assistant", "content": _content(call["response"])}
            facts["gen_ai.input.messages"] = _json([_message(m) for m in call["messages"]])
            facts["gen_ai.output.messages"] = _json([_message(said, call["tool_calls"])])
        span = self._tracer.start_span(
            f"chat {model}", context=inside, start_time=_ns(_at(call["began_at"])), attributes=facts
        )
        _end(span, _at(call["ended_at"]), call["error"])

    def _tools(
        self, call: dict[str, Any], following: dict[str, Any] | None, inside: Context | None,
        talk: dict[str, str],
    ) -> None:  # fmt: skip
        """A tool runs between the call that asked for it and the one that has its result."""
        if following is None:
            return
        for made in call["tool_calls"]:
            facts: dict[str, Any] = {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": str(made["name"]),
                "gen_ai.tool.call.id": str(made["id"]),
                **talk,
            }
            if self._with_text:
                facts["gen_ai.tool.call.arguments"] = _json(made["arguments"])
            span = self._tracer.start_span(
                f"execute_tool {made['name']}",
                context=inside,
                start_time=_ns(_at(call["ended_at"])),
                attributes=facts,
            )
            _end(span, _at(following["began_at"]), None)

    def _under(self, span: Span | None) -> Context | None:
        from opentelemetry.trace import set_span_in_context

        return None if span is None else set_span_in_context(span)

    async def close(self) -> None:
        """End the runs' spans and give what is left a moment to leave."""
        for span in self._runs.values():
            span.end()
        self._runs.clear()
        await asyncio.to_thread(self._leave)

    def _leave(self) -> None:
        self._provider.force_flush(_FLUSH_MS)
        self._provider.shutdown()


def _message(message: Any, calls: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """A message as the conventions have it: a role, and parts that say what they are."""
    if not isinstance(message, Mapping):
        return {"role": "user", "parts": [{"type": "text", "content": str(message)}]}
    held = cast("Mapping[str, Any]", message)
    role = str(held.get("role") or ("tool" if "output" in held else "assistant"))
    content = held.get("content", held.get("output", held.get("arguments")))
    parts = list[dict[str, Any]]()
    if role == "tool":
        named = held.get("tool_call_id") or held.get("call_id")
        parts.append({"type": "tool_call_response", "id": named, "response": content})
    elif content:
        text = content if isinstance(content, str) else _json(content)
        parts.append({"type": "text", "content": text})
    parts += [{"type": "tool_call", **call} for call in calls]
    return {"role": role, "parts": parts}


def _content(response: Any) -> Any:
    if isinstance(response, Mapping):
        return cast("Mapping[str, Any]", response).get("content")
    return response


def _provider(model: str) -> str:
    plain = model.rpartition("/")[2]
    return next((name for start, name in _PROVIDERS if plain.startswith(start)), "_OTHER")


def _end(span: Span, at: float, error: str | None) -> None:
    if error is not None:
        from opentelemetry.trace import StatusCode

        span.set_status(StatusCode.ERROR, error)
        span.set_attribute("error.type", error.partition(":")[0][:80])
    span.end(_ns(at))


def _at(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _ns(seconds: float) -> int:
    return int(seconds * 1_000_000_000)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
