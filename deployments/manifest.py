"""What `prefect.yaml` says: the one place where deployments are listed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from prefect import Flow
from prefect.flows import load_flow_from_entrypoint

from cornerman.domain.errors import CornermanError

_HERE = Path(__file__).resolve().parent
# In a wheel it stands beside this file, in a checkout at the top.
MANIFEST = next(
    (path for path in (_HERE / "prefect.yaml", _HERE.parent / "prefect.yaml") if path.exists()),
    _HERE.parent / "prefect.yaml",
)
BATTLE_SCHEDULE = "battles"


class ManifestError(CornermanError):
    """`prefect.yaml` is not there or cannot be read."""

    code = "manifest"


@dataclass(frozen=True)
class ScheduleSpec:
    """When a deployment runs: a cron expression in a time zone, under a name of its own."""

    cron: str
    timezone: str
    slug: str


@dataclass(frozen=True)
class DeploymentSpec:
    """One deployment.

    Args:
        entrypoint: Dotted name of the flow, such as `cornerman.flows.train.train_workflow`.
        parameters: Of the flow: `{"parameters": {…}}`.
        most_at_once: Flow runs at the same time; None: any number. One more is cancelled.
    """

    name: str
    entrypoint: str
    description: str
    tags: tuple[str, ...]
    pool: str
    parameters: dict[str, Any]
    schedules: tuple[ScheduleSpec, ...] = ()
    most_at_once: int | None = None
    flow: Flow[Any, Any] = field(compare=False, kw_only=True)

    @property
    def full_name(self) -> str:
        """As Prefect names it: `train-workflow/manual`."""
        return f"{self.flow.name}/{self.name}"

    def version(self, release: str) -> str:
        """The same for the same contents, so that a second deploy changes nothing."""
        facts = [self.entrypoint, self.description, self.tags, self.pool, self.parameters]
        facts += [[vars(schedule) for schedule in self.schedules], self.most_at_once]
        facts += [self.flow.parameters.model_dump()]
        digest = hashlib.sha256(json.dumps(facts, default=str, sort_keys=True).encode())
        return f"{release}-{digest.hexdigest()[:10]}"


def read_manifest(path: Path = MANIFEST, *, battle_cron: str | None = None) -> list[DeploymentSpec]:
    """Every deployment of `prefect.yaml`, with its flow loaded.

    Args:
        battle_cron: In place of the cron of the schedule `battles`.

    Raises:
        ManifestError: The file is not there or is not YAML.
    """
    try:
        text = path.read_text(encoding="utf-8")
        stated: dict[str, Any] = yaml.safe_load(text)
    except (OSError, yaml.YAMLError) as error:
        raise ManifestError(
            f"{path} cannot be read: {error}", hint="Work in a checkout of Cornerman."
        ) from error
    return [_spec(entry, battle_cron) for entry in stated["deployments"]]


def _spec(entry: dict[str, Any], battle_cron: str | None) -> DeploymentSpec:
    schedules = [ScheduleSpec(**schedule) for schedule in entry.get("schedules", [])]
    if battle_cron is not None:
        schedules = [
            ScheduleSpec(battle_cron, s.timezone, s.slug) if s.slug == BATTLE_SCHEDULE else s
            for s in schedules
        ]
    return DeploymentSpec(
        name=entry["name"],
        entrypoint=entry["entrypoint"],
        description=" ".join(entry["description"].split()),
        tags=tuple(entry["tags"]),
        pool=entry["work_pool"]["name"],
        parameters=entry["parameters"],
        schedules=tuple(schedules),
        most_at_once=entry.get("concurrency_limit", {}).get("limit"),
        flow=_load(entry["entrypoint"]),
    )


@cache
def _load(entrypoint: str) -> Flow[Any, Any]:
    return load_flow_from_entrypoint(entrypoint)
