"""Answers that must be JSON of a given shape."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from cornerman.clients.chat_request import ChatRequest
from cornerman.clients.llm import LLM
from cornerman.domain.answers import json_text
from cornerman.domain.errors import LLMError
from cornerman.domain.money.ledger import CallScope

T = TypeVar("T")

_MAX_SHOWN = 4000


def json_schema_format(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return the `response_format` that asks for JSON of a schema."""
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": True}}


async def chat_json(
    llm: LLM, scope: CallScope, request: ChatRequest, validate: Callable[[str], T]
) -> T | None:
    """Make a call whose answer `validate` accepts, with one attempt to have it mended.

    Args:
        request: With the `response_format` to ask for. An endpoint that refuses it is asked in
            words instead.
        validate: Gets the JSON text (without fences and what stands around it) and returns what
            it means, or raises ValueError (pydantic's included), TypeError or KeyError, whose
            text is shown to the model.

    Returns:
        None when the second answer is not accepted either.

    Raises:
        LLMError, StopError: As `LLM.chat`.
    """
    for last in (False, True):
        text, request = await _ask(llm, scope, request)
        try:
            return validate(json_text(text))
        except (ValueError, TypeError, KeyError, RecursionError) as exc:
            if last:
                return None
            request = _with_complaint(request, text, exc)
    return None


async def _ask(llm: LLM, scope: CallScope, request: ChatRequest) -> tuple[str, ChatRequest]:
    """Return the answer, and the request in the form that the endpoint takes."""
    try:
        return (await llm.chat(scope, request)).require_said(f"The {request.role}"), request
    except LLMError as exc:
        if exc.status_code not in {400, 422} or request.response_format is None:
            raise
    in_words = "Answer with one JSON object and nothing else. " + json.dumps(
        request.response_format
    )
    messages = (*request.messages, {"role": "user", "content": in_words})
    request = replace(request, response_format=None, messages=messages)
    return (await llm.chat(scope, request)).require_said(f"The {request.role}"), request


def _with_complaint(request: ChatRequest, text: str, exc: Exception) -> ChatRequest:
    complaint = (
        f"That answer could not be used: {str(exc)[:_MAX_SHOWN]}\n"
        "Answer again with the corrected JSON object and nothing else."
    )
    # An empty message is refused by some endpoints.
    said = {"role": "assistant", "content": text[:_MAX_SHOWN] or "(empty)"}
    messages = (*request.messages, said, {"role": "user", "content": complaint})
    return replace(request, messages=messages)
