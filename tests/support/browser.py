"""Find the Chromium that the browser tests drive."""

from __future__ import annotations

import os
import shutil

# A quiet browser: no updates and no calls home, which the tests' network would not answer.
CHROMIUM_ARGUMENTS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str | None:
    """Return the path of an installed Chromium; CHROMIUM names another one."""
    names = (os.environ.get("CHROMIUM"), *_NAMES)
    return next((path for name in names if name and (path := shutil.which(name))), None)


def launch_arguments() -> list[str]:
    """Return Chromium's arguments for this user: its sandbox does not start as root."""
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    return [*CHROMIUM_ARGUMENTS, *sandbox]
