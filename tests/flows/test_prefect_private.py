"""What of Prefect's is private stands in one file, and says so when it has moved."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import prefect
import pytest

from cornerman.flows.plumbing import prefect_private
from cornerman.flows.plumbing.prefect_private import (
    PARTS,
    PrefectMovedError,
    part,
    require_parts,
    require_schedules,
)

ROOT = Path(__file__).resolve().parents[2]
PRIVATE = re.compile(r"prefect\.server\.|prefect\._internal|client\._client\b|EventsWorker\b")


@pytest.mark.parametrize("name", PARTS)
def test_the_installed_prefect_has_every_part(name: str) -> None:
    assert callable(part(name))


def test_a_part_that_moved_is_named_with_what_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = replace(PARTS["drain_events"], where="prefect.events.worker:EventsWorker.drained")
    monkeypatch.setitem(PARTS, "drain_events", moved)
    with pytest.raises(PrefectMovedError, match=r"EventsWorker\.drained.*last events") as refused:
        require_parts()
    assert "pip install 'prefect>=" in (refused.value.hint or "")


@pytest.mark.parametrize("version", ["3.8.7", "4.0.0", "2.20.27"])
def test_a_prefect_out_of_range_is_refused(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(prefect, "__version__", version)
    with pytest.raises(PrefectMovedError, match=re.escape(version)):
        require_parts()


@pytest.mark.parametrize("version", ["3.8.8", "3.9.1", "3.10.0rc1", "3.9.1+unknown.7"])
def test_a_prefect_in_range_is_taken(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(prefect, "__version__", version)
    require_parts()


def test_no_other_file_uses_what_is_private() -> None:
    folders = ("flows", "tasks", "deployments", "cornerman")
    sources = [path for name in folders for path in ROOT.glob(f"{name}/**/*.py")]
    own = Path(prefect_private.__file__)
    assert [p for p in sources if p != own and PRIVATE.search(p.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    ("prefect_version", "database", "starts"),
    [("3.8.8", "2.1.9", False), ("3.8.8", "2.0.58", True), ("3.9.1", "2.1.9", True)],
)
def test_no_server_starts_whose_schedules_would_start_nothing(
    monkeypatch: pytest.MonkeyPatch, prefect_version: str, database: str, starts: bool
) -> None:
    monkeypatch.setattr(prefect, "__version__", prefect_version)
    monkeypatch.setattr(prefect_private, "version", lambda _: database)
    if starts:
        require_schedules()
        return
    with pytest.raises(PrefectMovedError, match=r"3\.8\.8 starts nothing with SQLAlchemy 2\.1\.9"):
        require_schedules()
