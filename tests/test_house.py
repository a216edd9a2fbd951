"""The house rules that no linter knows: what a clone contains, and what its locks promise."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
SOURCE_FOLDERS = ("cornerman", "storage", "tasks", "flows", "deployments", "scripts")
MOST_LINES = 400
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))

# In pieces, so that this file does not contain what it looks for.
REGISTRY_HOSTS = re.compile(
    "pypi" + r"\.org/simple|python" + "hosted|registry" + r"\.npm|[-]-index-"
)
MACHINE_PATHS = re.compile(r"(?<![\w.$}>-])/(work|root|" + r"Users|home/[a-z]+|tmp/w)/")
# What belongs to the making of a change, not to the product.
WORKING_NOTES = re.compile(
    "SPI" + r"NE\.md|issues " + r"show \d|Co-Auth" + "ored-By", re.IGNORECASE
)


def tracked_files() -> list[Path]:
    """List what git tracks; as another user than the checkout's owner too."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this is no git checkout: {done.stderr.strip()}")
    return [path for name in done.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def source_files() -> list[Path]:
    return [
        path
        for path in tracked_files()
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in SOURCE_FOLDERS
    ]


def lines_matching(pattern: re.Pattern[str]) -> list[str]:
    found: list[str] = []
    for path in tracked_files():
        # Pictures and other binary files hold no text to read.
        text = path.read_bytes().decode(errors="ignore")
        for number, line in enumerate(text.splitlines(), start=1):
            if pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    return found


def requirements(lock: Path) -> list[Requirement]:
    lines = (line.strip() for line in lock.read_text().splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize(
    "pattern", [REGISTRY_HOSTS, MACHINE_PATHS, WORKING_NOTES], ids=["host", "path", "note"]
)
def test_no_tracked_file_names_one_machine_or_its_work(pattern: re.Pattern[str]) -> None:
    assert lines_matching(pattern) == []


def test_every_module_says_what_it_is() -> None:
    silent = [p for p in source_files() if not ast.get_docstring(ast.parse(p.read_text()))]
    assert [str(path.relative_to(ROOT)) for path in silent] == []


def test_no_source_file_grows_beyond_its_limit() -> None:
    # A migration is one step of history, written once and read from top to bottom.
    lengths = {
        p: len(p.read_text().splitlines()) for p in source_files() if p.parent.name != "versions"
    }
    long = {str(p.relative_to(ROOT)): n for p, n in lengths.items() if n > MOST_LINES}
    assert long == {}


def test_every_source_folder_is_under_the_layers_and_the_type_checker() -> None:
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    assert tool["importlinter"]["root_packages"] == ["cornerman"]
    layers = next(c["layers"] for c in tool["importlinter"]["contracts"] if c["type"] == "layers")
    named = {name for layer in layers for name in layer.split(" | ")}
    folders = {
        f"cornerman.{name}" for name in SOURCE_FOLDERS if name not in ("cornerman", "scripts")
    }
    assert folders <= named
    assert set(tool["pyright"]["include"]) == {"build/layout/cornerman", "scripts"}
    subprocess.run([sys.executable, "scripts/layout.py"], cwd=ROOT, check=True)
    linked = {path.resolve() for path in (ROOT / "build" / "layout").rglob("*.py")}
    assert {p for p in source_files() if p.relative_to(ROOT).parts[0] != "scripts"} <= linked


@pytest.mark.parametrize("name", ["storage", "tasks", "flows", "deployments"])
def test_top_level_folder_has_one_name(name: str) -> None:
    bare = subprocess.run(
        [sys.executable, "-c", f"import {name}"], cwd=ROOT, capture_output=True, text=True
    )
    assert f"ImportError: This folder is the package cornerman.{name}" in bare.stderr
    module = importlib.import_module(f"cornerman.{name}")
    assert Path(module.__file__ or "") == ROOT / name / "__init__.py"


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_lock_pins_every_package_and_names_no_host(lock: Path) -> None:
    pinned = requirements(lock)
    assert pinned
    assert [str(r) for r in pinned if r.url or {s.operator for s in r.specifier} != {"=="}] == []


@pytest.mark.parametrize("name", ["base.txt", "dev.txt"])
def test_lock_holds_a_fastapi_that_prefect_can_import(name: str) -> None:
    pinned = {r.name: r for r in requirements(ROOT / "requirements" / name)}
    assert not pinned["fastapi"].specifier.contains("0.151")
    version = next(iter(pinned["fastapi"].specifier)).version
    assert tuple(map(int, version.split(".")[:2])) < (0, 151)


def test_both_locks_agree() -> None:
    base = {str(r) for r in requirements(ROOT / "requirements" / "base.txt")}
    dev = {str(r) for r in requirements(ROOT / "requirements" / "dev.txt")}
    assert base - dev == set()


def test_lock_covers_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = map(Requirement, project["project"]["dependencies"])
    locked = {
        r.name.lower().replace("_", "-"): r
        for r in requirements(ROOT / "requirements" / "base.txt")
    }
    for wish in wanted:
        pin = next(iter(locked[wish.name.lower().replace("_", "-")].specifier)).version
        assert wish.specifier.contains(pin), f"{wish} against {pin}: make lock"
