"""Uploading a dataset, which a training request then names."""

from __future__ import annotations

import asyncio
import os
import uuid
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from cornerman.domain.datasets.content import Record
from cornerman.domain.datasets.files import read_records
from cornerman.domain.errors import BadInputError, ConflictError
from cornerman.domain.json_values import json_fault
from cornerman.gateway.auth import require_api
from cornerman.gateway.errors import GatewayError, answers
from cornerman.gateway.models import DatasetBody
from cornerman.gateway.state import GatewayDep
from cornerman.runner import dataset_folders

router = APIRouter(prefix="/api/datasets", tags=["datasets"], dependencies=[require_api])

# One name without a way out of the folder; endings are those that can be read.
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.(json|jsonl|ndjson|csv|tsv|parquet)(\.gz)?$"
# What a compressed one may unpack to; what comes over the network is not trusted to be small.
_MOST_UNPACKED_BYTES = 100_000_000
_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post(
    "",
    response_model=None,
    status_code=201,
    responses=answers(DatasetBody, 409, status=201),
    openapi_extra=_BODY,
)
async def upload(
    request: Request,
    gateway: GatewayDep,
    name: Annotated[str, Query(pattern=_NAME, description="File name, such as cases.jsonl.")],
) -> JSONResponse:
    """Store the body as a dataset of that name. It is streamed; at most 20 MB."""
    folder = dataset_folders(gateway.settings)[0]
    partial = folder / f".{uuid.uuid4().hex}-{name}"
    try:
        size = await _receive(request, partial)
        records = await asyncio.to_thread(_keep, partial, folder / name)
    finally:
        partial.unlink(missing_ok=True)
    return JSONResponse({"path": name, "bytes": size, "records": records}, status_code=201)


async def _receive(request: Request, partial: Path) -> int:
    """Write the body as it comes; the limit is kept by whoever hands it to us."""
    size = 0
    await asyncio.to_thread(partial.parent.mkdir, parents=True, exist_ok=True)
    file = await asyncio.to_thread(partial.open, "xb")
    try:
        async for chunk in request.stream():
            size += len(chunk)
            await asyncio.to_thread(file.write, chunk)
    finally:
        await asyncio.to_thread(file.close)
    return size


def _checked(records: list[Record]) -> int:
    """Return how many records there are, once each could be kept.

    Raises:
        BadInputError: One holds what no run could use; names its line.
    """
    for record in records:
        fault = json_fault(record.values)
        if fault is not None:
            where = f"at {fault[0]}: " if fault[0] else ""
            raise BadInputError(f"dataset.path: {record.place}: {where}{fault[1]}")
    return len(records)


def _keep(partial: Path, path: Path) -> int:
    """Give a readable dataset its name; returns how many records it holds."""
    try:
        records = _checked(read_records(partial, most_bytes=_MOST_UNPACKED_BYTES))
    except BadInputError as error:
        said = error.message.replace(partial.name, path.name).removeprefix("dataset.path: ")
        # Not 422: the request is well-formed, its body contradicts the ending of its name.
        raise GatewayError(409, "Not a dataset", said, hint=error.hint) from error
    try:
        # A link fails when the name is taken, where a rename would replace the other file.
        os.link(partial, path)
    except FileExistsError as error:
        raise ConflictError(
            f"There is a dataset {path.name!r} already.",
            existing_id=path.name,
            hint="Choose another name.",
        ) from error
    return records
