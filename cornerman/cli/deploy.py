"""`cornerman deploy`: register the deployments with a Prefect server and work on them."""

from __future__ import annotations

from cornerman.cli.options import JsonOption


def deploy(json: JsonOption = False) -> None:
    """Serve every deployment of prefect.yaml on the Prefect server of PREFECT_API_URL."""
