"""OpenAI's embeddings: only what is sent is paid for."""

from __future__ import annotations

from typing import Any, cast

from cornerman.clients.chat_answer import Usage
from cornerman.meter.dialects.base import (
    Bound,
    Json,
    Provider,
    RequestRefusedError,
    input_bound,
    openai_refusal,
    read_usage,
    require_model,
)


class EmbeddingsDialect:
    """`POST /v1/embeddings`."""

    path = "/v1/embeddings"
    provider: Provider = "openai"
    is_embedding = True

    def bound(self, body: Json, size: int, most_output: int) -> Bound:
        model = require_model(body)
        given = body.get("input")
        if not given:
            raise RequestRefusedError("input must be a text or a list that is not empty.")
        texts = len(cast("list[Any]", given)) if isinstance(given, list) else 1
        return Bound(
            model=model,
            input_tokens=input_bound(body, size, texts),
            output_tokens=0,
            streams=False,
            body=body,
        )

    def reader(self, bound: Bound, asked: Json) -> EmbeddingsReader:
        return EmbeddingsReader()

    def messages(self, body: Json) -> tuple[list[Any], list[Any]]:
        given = body.get("input")
        return (list(cast("list[Any]", given)) if isinstance(given, list) else [given]), []

    def refusal(self, status: int, code: str, message: str) -> Json:
        return openai_refusal(status, code, message)


class EmbeddingsReader:
    """Reads how much was embedded; the vectors themselves are nothing to keep."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.is_complete = False
        self.finish_reason: str | None = None
        self.error: str | None = None
        self._vectors = 0

    def whole(self, body: Any) -> None:
        held = cast("Json", body) if isinstance(body, dict) else {}
        usage = held.get("usage")
        counts = {"completion_tokens": 0, **cast("Json", usage)} if isinstance(usage, dict) else {}
        self.usage = read_usage(counts, "prompt_tokens", "completion_tokens", "")
        vectors = held.get("data")
        if not isinstance(vectors, list):
            self.error = f"The answer has no data: {str(held.get('error') or body)[:300]}"
            return
        self._vectors, self.is_complete = len(cast("list[Any]", vectors)), True

    def event(self, data: Any) -> bool:
        return True

    def response(self) -> Any:
        return {"vectors": self._vectors}

    def tool_calls(self) -> list[Json]:
        return []
