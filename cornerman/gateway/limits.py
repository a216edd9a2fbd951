"""How often an address may fail to authenticate."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable

FAILURES_PER_MINUTE = 20
_WINDOW_SECONDS = 60.0
_MOST_ADDRESSES = 10_000


class FailureLimiter:
    """Counts wrong secrets by address within the last minute.

    An address that once gave the right one is never locked out, only its wrong tries are: else
    whoever shares an address with a user could shut the user out.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()
        self._trusted: OrderedDict[str, None] = OrderedDict()

    def wait_seconds(self, address: str) -> int:
        """Seconds until the address may try again; 0 when it may now."""
        failures = self._failures.get(address)
        if failures is None:
            return 0
        oldest_counted = self._clock() - _WINDOW_SECONDS
        while failures and failures[0] <= oldest_counted:
            failures.popleft()
        if len(failures) < FAILURES_PER_MINUTE:
            return 0
        return max(1, round(failures[0] - oldest_counted))

    def may_try(self, address: str) -> bool:
        """Whether a secret from this address is looked at at all."""
        return address in self._trusted or self.wait_seconds(address) == 0

    def failed(self, address: str) -> None:
        """Count a wrong secret."""
        failures = self._failures.setdefault(address, deque(maxlen=FAILURES_PER_MINUTE))
        failures.append(self._clock())
        self._failures.move_to_end(address)
        _keep_newest(self._failures)

    def succeeded(self, address: str) -> None:
        """Remember that the right secret came from here."""
        self._trusted[address] = None
        self._trusted.move_to_end(address)
        _keep_newest(self._trusted)


def _keep_newest(
    held: OrderedDict[str, object] | OrderedDict[str, deque[float]] | OrderedDict[str, None],
) -> None:
    # Addresses are cheap to come by, so memory must not grow with them.
    while len(held) > _MOST_ADDRESSES:
        held.popitem(last=False)
