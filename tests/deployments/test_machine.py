"""What `cornerman serve` gives the Prefect server that it starts."""

from __future__ import annotations

from datetime import timedelta

import pytest
from prefect.settings.models.server.services import (
    ServerServicesDBVacuumSettings,
    ServerServicesEventPersisterSettings,
    ServerServicesTaskRunRecorderSettings,
)

from cornerman.deployments.serve import Machine
from cornerman.settings import load_settings

PERIOD = "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD"


def prefect_environment() -> dict[str, str]:
    machine = Machine(load_settings(), "127.0.0.1", 8000, print)
    return machine._prefect_environment()


def test_prefect_clears_its_old_runs_and_events(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in prefect_environment().items():
        if "VACUUM" in name:
            monkeypatch.setenv(name, value)
    settings = ServerServicesDBVacuumSettings()
    assert settings.enabled_vacuum_types >= {"events", "flow_runs"}
    assert settings.retention_period == timedelta(days=30)


def test_how_long_prefect_keeps_runs_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PERIOD, "P7D")
    assert prefect_environment()[PERIOD] == "P7D"


def test_prefect_writes_events_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in prefect_environment().items():
        if "RECORDER" in name or "PERSISTER" in name:
            monkeypatch.setenv(name, value)
    recorder = ServerServicesTaskRunRecorderSettings()
    assert recorder.batch_size >= 50
    assert recorder.flush_interval == 1
    assert ServerServicesEventPersisterSettings().batch_size >= 100
