"""Real processes for the tests from end to end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.real_model import served_model


@pytest.fixture(scope="session")
def local_model_endpoint(local_model: Path) -> Iterator[str]:
    """The address of SmolLM2-135M, served by llama.cpp."""
    with served_model(local_model) as address:
        yield address
