"""`cornerman deploy`: register the deployments with a Prefect server."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any, cast

from cornerman.cli.output import Out
from cornerman.cli.store import JsonOption
from cornerman.domain.errors import BadInputError, CornermanError

_MODULE = "cornerman.deployments.deploy"


def deploy(json: JsonOption = False) -> None:
    """Register every deployment, pool and limit with the server of PREFECT_API_URL. Idempotent."""
    from cornerman.settings import get_settings

    out = Out(json)
    if get_settings().prefect_api_url is None:
        raise BadInputError(
            "PREFECT_API_URL is not set, and deployments live on a Prefect server.",
            field="PREFECT_API_URL",
            hint="Start one with: prefect server start; then set "
            "PREFECT_API_URL=http://127.0.0.1:4200/api",
        )
    if importlib.util.find_spec(_MODULE) is None:
        raise CornermanError(
            "This installation has no deployments to register.",
            hint="Runs need none: cornerman train, cornerman battle, or cornerman serve with cron.",
        )
    # By name: two entrances never import each other, so that either can be left out.
    module: Any = importlib.import_module(_MODULE)
    document: dict[str, Any] = module.deploy()
    out.document(document)
    say_deployed(out, document)


def say_deployed(out: Out, document: dict[str, Any]) -> None:
    """A line for each fact, and for each thing of a kind."""
    for name, value in document.items():
        kind = name.replace("_", " ")
        if not isinstance(value, dict):
            out.say(f"{kind}: {value}")
            continue
        made = cast("dict[str, object]", value)
        out.say(f"{kind}:" if made else f"{kind}: none")
        for thing, what in made.items():
            out.say(f"  {thing}: {what}")
