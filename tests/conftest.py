"""What every test stands on: a clean environment, a closed network, and real parts to ask for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.environment import isolate_process
from tests.support.real_model import model_file

# Before anything imports Prefect, which reads its settings once.
isolate_process()

from tests.support.absent import absent  # noqa: E402
from tests.support.battle_arena import arena  # noqa: E402, F401
from tests.support.browser import find_chromium  # noqa: E402
from tests.support.command import Finished, run_cornerman  # noqa: E402
from tests.support.databases import (  # noqa: E402, F401
    database_url,
    db,
    make_postgres_database,
    postgres_databases,
    postgres_db,
    postgres_template,
    postgres_url,
    sqlite_db,
    sqlite_template,
    sqlite_url,
)
from tests.support.network import only_loopback  # noqa: E402
from tests.support.prefect_harness import prefect_harness  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
# Folders whose tests start processes and take longest, the longest last.
_LATE_FOLDERS = ("flows", "cli", "gateway", "e2e", "chaos")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Alone, fast tests come first, so that a mistake shows early; in company the files that take
    longest do, so that no process is left alone with one. Within a group the order stays."""
    in_company = "PYTEST_XDIST_WORKER" in os.environ

    def lateness(item: pytest.Item) -> tuple[bool, int]:
        folder = item.path.relative_to(ROOT / "tests").parts[0]
        late = _LATE_FOLDERS.index(folder) + 1 if folder in _LATE_FOLDERS else 0
        if in_company:
            return False, -late
        return item.get_closest_marker("slow") is not None, late

    items.sort(key=lateness)


@pytest.fixture(scope="session", autouse=True)
def closed_network() -> Iterator[None]:
    with only_loopback():
        yield


@pytest.fixture(autouse=True)
def cornerman_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own CORNERMAN_HOME for each test; it is not there yet."""
    home = tmp_path / "cornerman-home"
    monkeypatch.setenv("CORNERMAN_HOME", str(home))
    return home


@pytest.fixture(autouse=True)
def away_from_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep a developer's own `.env` out of tests; without one the working folder stays."""
    if Path(".env").exists():
        monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session", name="prefect_harness")
def _prefect_harness() -> Iterator[None]:
    """A temporary Prefect server, one for the session: it takes seconds to start."""
    with prefect_harness():
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the real data; CORNERMAN_SHARED_DATA names another one."""
    folder = Path(os.environ.get("CORNERMAN_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        # Skipped in CI too: the data is no part of a clone.
        pytest.skip(f"no real data at {folder}; CORNERMAN_SHARED_DATA names the folder")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of Chromium."""
    return find_chromium() or absent("no Chromium; as root: apt-get install chromium")


@pytest.fixture(scope="session")
def local_model() -> Path:
    """The model file of the extra local-model."""
    return model_file() or absent(
        "the small model is not installed; `make test` does it where wheels exist"
    )


@pytest.fixture
def cornerman(tmp_path: Path, cornerman_home: Path) -> Callable[..., Finished]:
    """Run the command: `cornerman("train", spec, "--json", env={...}).json()`."""
    return partial(run_cornerman, home=cornerman_home, cwd=tmp_path)
