"""OpenAI's embeddings: only what is sent is paid for."""

from __future__ import annotations

from typing import Any, cast

from cornerman.meter.dialects.base import (
    Bound,
    Json,
    OpenAIDialect,
    Reader,
    RequestRefusedError,
    input_bound,
    object_of,
    read_usage,
    require_model,
)


class EmbeddingsDialect(OpenAIDialect):
    """`POST /v1/embeddings`."""

    path = "/v1/embeddings"
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
            body=body,
        )

    def reader(self, asked: Json) -> EmbeddingsReader:
        return EmbeddingsReader()

    def messages(self, body: Json) -> tuple[list[Any], list[Any]]:
        given = body.get("input")
        return (list(cast("list[Any]", given)) if isinstance(given, list) else [given]), []


class EmbeddingsReader(Reader):
    """Reads how much was embedded; the vectors themselves are nothing to keep."""

    def __init__(self) -> None:
        super().__init__()
        self._vectors = 0

    def whole(self, body: Any) -> None:
        held = object_of(body)
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
