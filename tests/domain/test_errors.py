"""Errors as other processes get them."""

from __future__ import annotations

import pickle

import pytest

from cornerman.domain.errors import (
    BadInputError,
    BudgetExceededError,
    ConflictError,
    CornermanError,
    KillSwitchActiveError,
)


@pytest.mark.parametrize(
    "error",
    [
        CornermanError("no", hint="try"),
        BadInputError("no", field="optimizer.epochs", hint="try"),
        ConflictError("taken", existing_id="r1"),
        KillSwitchActiveError("somebody looks"),
        BudgetExceededError("run:r1", limit_usd=1.0, spent_usd=0.5, needed_usd=0.6),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_crosses_processes_with_its_facts(error: CornermanError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.__dict__) == (type(error), str(error), error.__dict__)
