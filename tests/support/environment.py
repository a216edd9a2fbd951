"""The environment that tests run in: nothing of the user's reaches them, nor their children."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

# Everything else goes, so that a variable nobody thought of cannot change a result.
KEPT = frozenset(
    {
        *("PATH", "SHELL", "USER", "LOGNAME", "TERM", "NO_COLOR"),
        *("LANG", "LC_ALL", "LC_CTYPE", "TZ"),
        *("TMPDIR", "TMP", "TEMP"),
        *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"),
        *("CI", "CHROMIUM", "TEST_POSTGRES_URL", "CORNERMAN_SHARED_DATA", "TEST_ORCHEO_PYTHON"),
    }
)
KEPT_PREFIXES = ("PYTEST_", "HYPOTHESIS_")


def clean_environment(environ: Mapping[str, str], home: str) -> dict[str, str]:
    """Copy what tests may see, with `home` as the home folder."""
    kept = {k: v for k, v in environ.items() if k in KEPT or k.startswith(KEPT_PREFIXES)}
    # Prefect sends usage figures unless told not to; tests reach no further than loopback.
    silent = {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    # A home for each test would leave a server for each behind.
    return kept | silent | {"HOME": home, "PREFECT_IDLE_SECONDS": "0"}


def isolate_process() -> None:
    """Replace this process's environment; call it before Prefect reads its settings."""
    home = tempfile.mkdtemp(prefix="cornerman-tests-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    # Whatever a test or a library leaves behind goes with the home. PostgreSQL, which does not run
    # as root, must get through to its part of it.
    Path(home).chmod(0o711)
    temporary = Path(home, "tmp")
    temporary.mkdir(mode=0o711)
    cleaned = clean_environment(os.environ, home) | {"TMPDIR": str(temporary)}
    tempfile.tempdir = None
    os.environ.clear()
    os.environ.update(cleaned)
