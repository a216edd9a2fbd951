"""One file a dialect: what bounds a request, where its usage stands, what a refusal looks like."""

from __future__ import annotations

from cornerman.meter.dialects.base import Dialect
from cornerman.meter.dialects.chat import ChatDialect
from cornerman.meter.dialects.embeddings import EmbeddingsDialect
from cornerman.meter.dialects.messages import MessagesDialect
from cornerman.meter.dialects.responses import ResponsesDialect

DIALECTS: tuple[Dialect, ...] = (
    ChatDialect(),
    ResponsesDialect(),
    EmbeddingsDialect(),
    MessagesDialect(),
)
