"""The real model behind the bench: one call a case, every answer kept so that none is made twice.

Greedy answers of one model are the same each time, so an interrupted bench goes on where it was,
and strategies that ask the same pay for it all the same.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from openai import AsyncOpenAI

from cornerman.domain.training.candidates import Prompts
from cornerman.domain.training.cases import Case, Score
from cornerman.tasks.agent import chat_messages
from tests.bench.real_tasks import is_right

_AT_ONCE = 2
_REWRITE_TOKENS = 300


class Answers:
    """The model's answers by request, kept in a file of lines.

    Args:
        address: OpenAI's API on the model.
    """

    def __init__(self, address: str, path: Path) -> None:
        self.address = address
        self._client = AsyncOpenAI(base_url=address, api_key="none", timeout=120)
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self._kept = dict(json.loads(line) for line in lines)

    async def ask(self, messages: Sequence[Mapping[str, Any]], max_tokens: int) -> str:
        """The greedy answer to a chat."""
        key = json.dumps([list(messages), max_tokens], ensure_ascii=False)
        if key not in self._kept:
            async with self._slots:
                # Messages are plain dictionaries, which is what the client sends.
                given: Any = list(messages)
                answer = await self._client.chat.completions.create(
                    model="smollm2", messages=given, temperature=0, max_tokens=max_tokens
                )
            self._kept[key] = (answer.choices[0].message.content or "").strip()
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps([key, self._kept[key]], ensure_ascii=False) + "\n")
        return self._kept[key]

    async def close(self) -> None:
        """Let the client go."""
        await self._client.close()


class RealWorld:
    """Agent and optimizer's model are the same small one; a case is right or wrong."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def answer(self, prompts: Prompts, case: Case, seed: int) -> Any:
        """The agent's answer, to be awaited."""
        del seed
        most = prompts["system"].model_kwargs["max_tokens"]
        return self._answers.ask(chat_messages(prompts["system"], case.inputs), most)

    def score(self, case: Case, output: Any) -> Score:
        """1 for the expected words."""
        if is_right(case.expected_output, output):
            return Score(1.0)
        return Score(0.0, f"expected {case.expected_output!r}, got {output!r}")

    def rewrite(self, messages: Sequence[Mapping[str, str]], seed: int) -> Any:
        """The optimizer's model's answer, to be awaited."""
        del seed
        return self._answers.ask(messages, _REWRITE_TOKENS)
