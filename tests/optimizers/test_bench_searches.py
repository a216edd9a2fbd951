"""The bench measures what it says."""

from __future__ import annotations

import pytest

from tests.bench.searches import LANDSCAPES, STRATEGIES, Search, run_search


@pytest.mark.parametrize("landscape", LANDSCAPES)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_equal_searches_have_equal_outcomes(strategy: str, landscape: str) -> None:
    search = Search(strategy, landscape, noisy=True, seed=5, budgets=(50, 120))
    found = run_search(search)
    assert found == run_search(search)
    assert all(0 <= score <= 1 for score in found)


def test_more_calls_do_not_change_what_fewer_found() -> None:
    short = run_search(Search("reflective", "triage", False, 5, (50, 120)))
    long = run_search(Search("reflective", "triage", False, 5, (50, 120, 160)))
    assert long[:2] == short
