"""Container files and the systemd unit, as far as they can be checked without an engine."""

from __future__ import annotations

import configparser
import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from cornerman.deployments.serve import RETENTION
from cornerman.flows.plumbing.patient import IN_BATCHES

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deployments"


def instructions() -> list[tuple[str, str]]:
    text = (FOLDER / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines)]


def compose() -> dict[str, Any]:
    return yaml.safe_load((FOLDER / "compose.yaml").read_text())


def test_the_image_copies_only_what_is_there() -> None:
    for name, rest in instructions():
        if name == "COPY":
            *sources, _ = rest.split()
            assert [source for source in sources if not (ROOT / source).exists()] == []


def test_the_image_is_pinned_and_does_not_run_as_root() -> None:
    found = dict(instructions())
    assert re.search(r":\d", found["FROM"])
    assert found["USER"] not in ("root", "0")
    assert [name for name, _ in instructions()].index("USER") < len(instructions()) - 2


def test_the_image_s_python_is_one_that_the_project_allows() -> None:
    version = re.search(r"python:(3\.\d+)", dict(instructions())["FROM"])
    assert version and version[1] in ("3.11", "3.12", "3.13")


def test_entrypoint_and_command_are_exec_forms_of_the_command() -> None:
    found = dict(instructions())
    assert json.loads(found["ENTRYPOINT"]) == ["cornerman"]
    assert json.loads(found["CMD"])[0] == "serve"


def test_every_module_that_a_service_starts_is_there() -> None:
    for service in compose()["services"].values():
        entrypoint = service.get("entrypoint", [])
        if "-m" in entrypoint:
            module = entrypoint[entrypoint.index("-m") + 1]
            assert importlib.util.find_spec(module) is not None


def test_services_wait_for_those_they_need() -> None:
    services = compose()["services"]
    for service in services.values():
        for name, how in service.get("depends_on", {}).items():
            assert name in services
            assert how["condition"] in ("service_healthy", "service_completed_successfully")
    assert (
        {"setup"} == set(services["worker"]["depends_on"]) == set(services["gateway"]["depends_on"])
    )


def test_no_secret_has_a_default() -> None:
    text = (FOLDER / "compose.yaml").read_text()
    for name in ("POSTGRES_PASSWORD", "CRON_SECRET", "API_TOKEN"):
        assert set(re.findall(rf"\$\{{{name}(:.)", text)) == {":?"}


def test_ports_are_open_to_this_machine_alone() -> None:
    for service in compose()["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_files_that_compose_mounts_and_builds_are_there() -> None:
    services = compose()["services"]
    mounted = [v for s in services.values() for v in s.get("volumes", []) if v.startswith("./")]
    assert mounted
    assert all((FOLDER / volume.split(":")[0]).is_file() for volume in mounted)
    build = services["worker"]["build"]
    assert (FOLDER / build["context"] / build["dockerfile"]).is_file()


def test_prefect_clears_old_runs_and_writes_in_batches_as_under_serve() -> None:
    given = compose()["services"]["prefect"]["environment"]
    assert (RETENTION | IN_BATCHES).items() <= given.items()


def test_the_unit_starts_serve_and_gives_it_time_to_stop() -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(FOLDER / "cornerman.service")
    assert unit["Service"]["ExecStart"].split()[1] == "serve"
    assert int(unit["Service"]["TimeoutStopSec"]) > 5
    assert unit["Service"]["User"] != "root"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")
def test_systemd_finds_no_fault_with_the_unit(tmp_path: Path) -> None:
    text = (
        (FOLDER / "cornerman.service")
        .read_text()
        .replace("/opt/cornerman/.venv/bin/cornerman", "/bin/true")
    )
    unit = tmp_path / "cornerman.service"
    unit.write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert "cornerman.service" not in done.stderr
