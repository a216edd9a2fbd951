"""How long a simulated call takes: a setting, never a clock reading."""

from __future__ import annotations

from dataclasses import dataclass

from cornerman.clients.rehearsal.chance import Chance


@dataclass(frozen=True)
class Timing:
    """Latency of every reply, and at most `jitter_ms` more, by the request's content."""

    latency_ms: float = 20.0
    jitter_ms: float = 0.0

    def delay_seconds(self, digest: str) -> float:
        """The wait before a reply; equal requests wait equally long."""
        extra = self.jitter_ms * Chance("latency").draw(digest) if self.jitter_ms else 0.0
        return (self.latency_ms + extra) / 1000.0
