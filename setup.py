"""Puts the four folders that stand at the repository's top level below the one name `cornerman`."""

from __future__ import annotations

from setuptools import find_namespace_packages, setup

FOLDERS = ("deployments", "flows", "storage", "tasks")

setup(
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
