"""What a user of Orcheo does, with its own models and its SDK's reader; run by its Python.

    python orcheo_client.py PORT EVALUATOR

Prints one JSON line: how the training ended, the metrics of the checkpoint that Orcheo's model
read, how a payload without evaluators was refused, and how a run from that checkpoint ended.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import sys
import urllib.request
import uuid
from types import SimpleNamespace
from typing import Any

import websockets
from orcheo.agentensor.checkpoints import AgentensorCheckpoint
from orcheo.agentensor.evaluation import EvaluationCase, EvaluationDataset, EvaluatorDefinition
from orcheo.agentensor.prompts import TrainablePrompt
from orcheo.agentensor.training import OptimizerConfig, TrainingRequest
from orcheo.runtime.runnable_config import RunnableConfigModel
from orcheo_sdk.cli.workflow.streaming import _process_stream_messages
from rich.console import Console

WORKFLOW = str(uuid.uuid4())
HEADERS = {"Authorization": f"Bearer {os.environ['API_TOKEN']}"}


def request(evaluators: list[EvaluatorDefinition]) -> dict[str, Any]:
    """A training payload as its model dumps it."""
    cases = [EvaluationCase(inputs={"n": n}, expected_output=str(n)) for n in range(4)]
    made = TrainingRequest(
        dataset=EvaluationDataset(id="numbers", cases=cases),
        evaluators=evaluators,
        optimizer=OptimizerConfig(epochs=1),
    )
    return made.model_dump(mode="json")


async def send(port: int, training: dict[str, Any], config: RunnableConfigModel) -> tuple[str, str]:
    """Send it as the SDK sends; returns the status that its reader saw, and what it printed."""
    payload = {
        "type": "train_workflow",
        "graph_config": {},
        "inputs": {},
        "execution_id": str(uuid.uuid4()),
        "training": training,
        "runnable_config": config.model_dump(mode="json"),
    }
    printed = io.StringIO()
    console = Console(file=printed, width=500)
    state = SimpleNamespace(console=console, verbose_results=False, human=True)
    address = f"ws://127.0.0.1:{port}/ws/workflow/{WORKFLOW}"
    async with websockets.connect(address, additional_headers=HEADERS, max_size=None) as socket:
        await socket.send(json.dumps(payload))
        status = await _process_stream_messages(state, socket)
    return status, printed.getvalue()


def checkpoints(port: int) -> list[AgentensorCheckpoint]:
    """The answer of the API, in Orcheo's model."""
    address = f"http://127.0.0.1:{port}/api/workflows/{WORKFLOW}/agentensor/checkpoints"
    asked = urllib.request.Request(address, headers=HEADERS)
    with urllib.request.urlopen(asked) as answer:
        return [AgentensorCheckpoint.model_validate(one) for one in json.load(answer)]


async def main() -> None:
    """Train, read, train again."""
    port, quality = int(sys.argv[1]), EvaluatorDefinition(id="quality", entrypoint=sys.argv[2])
    start = RunnableConfigModel(
        prompts={"system": TrainablePrompt(text="Say the number.", requires_grad=True)}
    )
    status, _ = await send(port, request([quality]), start)
    newest = checkpoints(port)[0]
    _, refusal = await send(port, request([]), start)
    # Its documented way back: a checkpoint's config in a new run.
    reused = RunnableConfigModel.model_validate(newest.runnable_config)
    again, _ = await send(port, request([quality]), reused)
    refused = refusal.partition("Error: ")[2].strip()
    found = {"status": status, "metrics": newest.metrics, "refused": refused, "again": again}
    print(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main())
