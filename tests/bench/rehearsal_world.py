"""The rehearsal models without HTTP: the same requests, the same replies."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from cornerman.domain.training.candidates import Prompt, Prompts
from cornerman.domain.training.cases import Case, Score
from cornerman.rehearsal.request import ChatRequest, Message
from cornerman.rehearsal.roles import reply_to
from cornerman.tasks.agent import chat_messages

EXAMPLES = Path(__file__).resolve().parents[2] / "cornerman" / "examples"


class RehearsalWorld:
    """An agent, an optimizer's model and the evaluator `exact_match`.

    Args:
        server_seed: Which of the cases are hard, among other things.
        temperature: Over 0, a tenth of the agent's answers goes astray.
    """

    def __init__(self, server_seed: int, temperature: float) -> None:
        self._server_seed = server_seed
        self._temperature = temperature

    def _reply(
        self, role: str, messages: Sequence[Mapping[str, Any]], temperature: float, seed: int
    ) -> str:
        request = ChatRequest(
            role=role,
            messages=tuple(Message(m["role"], m["content"]) for m in messages),
            temperature=temperature,
            seed=seed,
        )
        return reply_to(request, self._server_seed)

    def answer(self, prompts: Prompts, case: Case, seed: int) -> str:
        messages = chat_messages(prompts["system"], case.inputs)
        return self._reply("agent", messages, self._temperature, seed)

    def score(self, case: Case, output: Any) -> Score:
        if output == case.expected_output:
            return Score(1.0)
        return Score(0.0, f"expected {case.expected_output!r}, got {output!r}")

    def rewrite(self, messages: Sequence[Mapping[str, str]], seed: int) -> str:
        return self._reply("optimizer", messages, 1.0, seed)


@lru_cache
def example(name: str) -> tuple[tuple[Case, ...], str]:
    """An example's cases and the prompt that it starts from."""
    lines = (EXAMPLES / f"{name}.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    cases = tuple(
        Case(record["id"], index, record["inputs"], record["expected_output"])
        for index, record in enumerate(records)
    )
    spec = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())
    return cases, spec["prompts"]["system"]["text"]


def starting_prompts(text: str) -> Prompts:
    """One trainable prompt named `system`."""
    return {"system": Prompt(text=text, requires_grad=True)}
