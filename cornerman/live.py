"""The trained prompts in a running service.

prompts = await cornerman.live_prompts("support")
messages = [{"role": "system", "content": prompts["system"]}, ...]

They come from the gateway where one is named (`NEXT_PUBLIC_APP_URL`), else from the database of the
settings; a moment's answer is kept, and the last good one is used while neither can be reached.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from cornerman.domain.errors import CornermanError, NotFoundError
from cornerman.domain.training.candidates import Prompt
from cornerman.settings import Settings, get_settings
from cornerman.tasks.agent import PromptText

log = logging.getLogger(__name__)

MAX_AGE_SECONDS = 30.0
_TIMEOUT_SECONDS = 5.0


class LivePrompts(dict[str, PromptText]):
    """Prompts by name, each a text with `.model`, `.model_kwargs` and `.metadata`.

    Args:
        checkpoint_id: Where they come from; "" for a file that does not say.
    """

    def __init__(self, found: Mapping[str, Any]) -> None:
        prompts: Mapping[str, Any] = found["prompts"]
        super().__init__(
            {name: PromptText(Prompt.model_validate(held)) for name, held in prompts.items()}
        )
        self.workflow_id = str(found.get("workflow_id", ""))
        self.checkpoint_id = str(found.get("checkpoint_id", ""))
        self.config_version: int | None = found.get("config_version")


@dataclass
class _Kept:
    prompts: LivePrompts
    until: float


_kept: dict[tuple[str, str], _Kept] = {}
_asking: dict[tuple[str, str], asyncio.Lock] = {}


async def live_prompts(
    workflow_id: str,
    *,
    base_url: str | None = None,
    max_age_seconds: float = MAX_AGE_SECONDS,
    fallback: Path | str | None = None,
) -> LivePrompts:
    """The workflow's best prompts as they are now.

    Args:
        base_url: The gateway's address; by default `NEXT_PUBLIC_APP_URL`, and without either the
            database is read. `API_TOKEN` is sent.
        max_age_seconds: For how long an answer is used without asking again.
        fallback: A file of `cornerman prompts pull`, used where there has been no answer yet.

    Raises:
        NotFoundError: Nothing was trained for the workflow.
        CornermanError: Nobody could be asked, and there is no earlier answer and no file.
    """
    settings = get_settings()
    base = base_url or settings.next_public_app_url or ""
    place = (workflow_id, base)
    kept = _kept.get(place)
    if kept is not None and time.monotonic() < kept.until:
        return kept.prompts
    async with _asking.setdefault(place, asyncio.Lock()):
        kept = _kept.get(place)
        if kept is not None and time.monotonic() < kept.until:
            return kept.prompts
        try:
            before = None if kept is None else kept.prompts
            found = await _ask(workflow_id, base, settings, before)
        except NotFoundError:
            raise
        except Exception as error:  # noqa: BLE001 - a service goes on with what it has
            found = _without_an_answer(workflow_id, kept, fallback, error)
        _kept[place] = _Kept(found, time.monotonic() + max_age_seconds)
    return found


def _without_an_answer(
    workflow_id: str, kept: _Kept | None, fallback: Path | str | None, error: Exception
) -> LivePrompts:
    why = f"{type(error).__name__}: {error}"
    if kept is not None:
        log.warning("The prompts of %s are the last good ones: %s", workflow_id, why)
        return kept.prompts
    if fallback is not None:
        log.warning("The prompts of %s are those of %s: %s", workflow_id, fallback, why)
        return LivePrompts(yaml.safe_load(Path(fallback).read_text(encoding="utf-8")))
    raise CornermanError(
        f"The prompts of {workflow_id!r} cannot be read: {why}",
        hint="Check NEXT_PUBLIC_APP_URL and API_TOKEN, or name a file as fallback.",
    ) from error


async def _ask(
    workflow_id: str, base: str, settings: Settings, before: LivePrompts | None
) -> LivePrompts:
    if not base:
        return LivePrompts(await asyncio.to_thread(_from_database, workflow_id, settings))
    import httpx2

    headers = dict[str, str]()
    if settings.api_token is not None:
        headers["Authorization"] = f"Bearer {settings.api_token.get_secret_value()}"
    if before is not None:
        headers["If-None-Match"] = f'"{before.checkpoint_id}"'
    url = f"{base.rstrip('/')}/api/workflows/{quote(workflow_id, safe='')}/prompts"
    async with httpx2.AsyncClient(timeout=_TIMEOUT_SECONDS) as client:
        answer = await client.get(url, headers=headers)
    if answer.status_code == 304 and before is not None:
        return before
    if answer.status_code == 404:
        from cornerman.storage.live import nothing_live

        raise nothing_live(workflow_id)
    answer.raise_for_status()
    return LivePrompts(answer.json())


def _from_database(workflow_id: str, settings: Settings) -> dict[str, Any]:
    from cornerman.storage.database import Database
    from cornerman.storage.live import require_live_prompts

    db = Database(settings.database_url().url.get_secret_value())
    try:
        with db.reading() as session:
            return require_live_prompts(session, workflow_id)
    finally:
        db.close()
