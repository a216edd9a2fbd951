"""Where models answer, and what an answer is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import SecretStr

from cornerman.clients.prices import PriceBook
from cornerman.domain.errors import LLMError

REFUSED = ("content_filter", "refusal")
# What is worth knowing of how an answer ended; `stop` is not.
NOTABLE = ("length", *REFUSED)
OPENAI_URL = "https://api.openai.com/v1"
# What mends an answer of such a status.
HINTS = {
    401: "Check SANDBOX_OPENAI_API_KEY (or OPENAI_API_KEY): the endpoint did not accept the key.",
    403: "Check that the key of SANDBOX_OPENAI_API_KEY (or OPENAI_API_KEY) may use this model.",
    404: "Check OPENAI_BASE_URL and the model's name (AGENT_MODEL, PERSONA_MODEL, ...).",
    429: "Lower the concurrency, or raise the account's limits or credit.",
}


def endpoint_name(base_url: str | None, *, simulated: bool) -> str:
    """An endpoint's address without credentials; the rehearsal endpoint has another each time."""
    if simulated:
        return "rehearsal"
    parts = urlsplit(base_url or OPENAI_URL)
    return f"{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"


@dataclass(frozen=True)
class LLMEndpoint:
    """Where models answer.

    Args:
        base_url: OpenAI-compatible, with its `/v1`; None: OpenAI's own.
        api_key: None for endpoints without auth.
        simulated: The rehearsal endpoint answers; it is told each call's role in a header.
        retries: How many attempts may follow the first.
        max_output_tokens: The largest limit under which an answer is asked for again whose
            tokens were spent before its text began, as models that think do.
    """

    base_url: str | None
    api_key: SecretStr | None
    simulated: bool
    prices: PriceBook
    retries: int = 4
    max_output_tokens: int = 16_384

    @property
    def name(self) -> str:
        """What the store knows it by, from run to run."""
        return endpoint_name(self.base_url, simulated=self.simulated)

    @property
    def openai_url(self) -> str:
        """Its address, OpenAI's own where none is set."""
        return self.base_url or OPENAI_URL


@dataclass(frozen=True)
class ChatAnswer:
    """A model's answer and what it took.

    Args:
        input_tokens: As the endpoint counted; 0 when it did not say, and the cost is the worst
            case then.
        cost_pico: Of all attempts, failed ones included; 0 when cached.
        latency_ms: Of the attempt that succeeded.
        attempts: 0 when cached.
        finish_reason: `length` when `max_tokens` cut the text, `content_filter`, or `refusal` when
            the text is why the model will not answer.
    """

    text: str
    model: str
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_pico: int
    latency_ms: float
    attempts: int
    cached: bool
    simulated: bool
    finish_reason: str | None

    @property
    def is_refused(self) -> bool:
        """Whether the provider's filter or the model itself would not answer."""
        return self.finish_reason in REFUSED

    def require_said(self, who: str) -> str:
        """The text of an answer that somebody else's score depends on.

        Raises:
            LLMError: It was refused or filtered; nobody is to be scored by that.
        """
        if not self.is_refused:
            return self.text
        how = "was filtered" if self.finish_reason == "content_filter" else "refused"
        said = f": {self.text[:200]}" if self.text.strip() else ""
        raise LLMError(f"{who} {how} ({self.finish_reason}){said}", kind="refused")


@dataclass(frozen=True)
class Clock:
    """Time and chance, so that a test can script them."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
