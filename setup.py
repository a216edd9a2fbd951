"""Puts the four folders that stand at the repository's top level below the one name `cornerman`."""

from __future__ import annotations

from pathlib import Path

from setuptools import find_namespace_packages, setup
from setuptools.command.build_py import build_py

FOLDERS = ("deployments", "flows", "storage", "tasks")


class BuildWithManifest(build_py):
    """Brings `prefect.yaml` along, which Prefect wants at the top of a checkout."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib, "cornerman", "deployments", "prefect.yaml")
            self.copy_file("prefect.yaml", str(target))


setup(
    cmdclass={"build_py": BuildWithManifest},
    packages=[
        *find_namespace_packages(include=["cornerman", "cornerman.*"]),
        *(
            f"cornerman.{package}"
            for folder in FOLDERS
            for package in find_namespace_packages(include=[folder, f"{folder}.*"])
        ),
    ],
    package_dir={f"cornerman.{folder}": folder for folder in FOLDERS},
)
