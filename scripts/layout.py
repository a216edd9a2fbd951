"""Show pyright and import-linter the packages as they are imported: all below cornerman.

The repository keeps four of them at its top level, and neither tool follows an editable install
there. `build/layout` becomes a tree of links to every source file, made anew at each call.
"""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAYOUT = ROOT / "build" / "layout"
FOLDERS = ("deployments", "flows", "storage", "tasks")


def link_package(folder: Path, target: Path) -> None:
    """Link a package's modules into `target`, folder by folder."""
    for path in folder.rglob("*.py"):
        link = target / path.relative_to(folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)


def main() -> None:
    """Make the tree."""
    shutil.rmtree(LAYOUT, ignore_errors=True)
    package = LAYOUT / "cornerman"
    link_package(ROOT / "cornerman", package)
    for name in FOLDERS:
        link_package(ROOT / name, package / name)


if __name__ == "__main__":
    main()
