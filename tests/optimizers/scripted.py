"""A world of a few words: the prompt lists skills, a case needs one, a rewrite adds one."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cornerman.domain.datasets.load import DatasetSplit
from cornerman.domain.errors import LLMError
from cornerman.domain.training.candidates import Prompt, Prompts
from cornerman.domain.training.cases import Case, Score
from cornerman.domain.training.options import OptimizerOptions
from tests.bench.memory_lab import MemoryLab

SKILLS = ("add", "bake", "carve", "draw", "etch", "fold", "glue", "hem")
Reply = str | Callable[[str], str]


class SkillWorld:
    """Pure functions in place of models.

    Args:
        noise: Chance that an answer comes out the other way.
        reply: What the optimizer's model answers, or a function of what it is shown; None: it
            adds a skill that a shown case needs.
    """

    def __init__(self, noise: float = 0.0, reply: Reply | None = None) -> None:
        self.noise = noise
        self.reply = reply
        self.asked: list[str] = []

    def answer(self, prompts: Prompts, case: Case, seed: int) -> str:
        said = " ".join(prompt.text for prompt in prompts.values())
        right = bool(re.search(rf"\b{case.inputs['skill']}\b", said))
        return "done" if right != (random.Random(seed).random() < self.noise) else "failed"

    def score(self, case: Case, output: Any) -> Score:
        return Score(1.0) if output == "done" else Score(0.0, f"needs {case.inputs['skill']}")

    def rewrite(self, messages: Sequence[Mapping[str, str]], seed: int) -> str:
        text = messages[-1]["content"]
        self.asked.append(text)
        if self.reply is not None:
            return self.reply if isinstance(self.reply, str) else self.reply(text)
        found = re.search(r"<prompt[^>]*>\n(.*?)\n</prompt>|```\n(.*?)\n```", text, re.DOTALL)
        old = (found[1] or found[2]) if found else ""
        needed = sorted(set(re.findall(r"needs (\w+)", text)))
        new = f"{old}\nLearn to {random.Random(seed).choice(needed)}." if needed else old
        return f"```\n{new}\n```" if "```" in text else f"<rewrite>{new}</rewrite>"


def no_answer(_: str) -> str:
    raise LLMError("nothing came", kind="timeout")


def skill_cases(start: int, count: int) -> tuple[Case, ...]:
    return tuple(
        Case(f"case-{n}", n, {"skill": SKILLS[n % len(SKILLS)]}, "done")
        for n in range(start, start + count)
    )


def skill_split(train: int = 24, validation: int = 16) -> DatasetSplit:
    return DatasetSplit(skill_cases(0, train), skill_cases(train, validation), ())


def one_prompt(text: str = "Learn to add.") -> Prompts:
    return {"system": Prompt(text=text, requires_grad=True)}


def lab_of(
    world: SkillWorld, prompts: Prompts | None = None, seed: int = 0, **kwargs: Any
) -> MemoryLab:
    split = kwargs.pop("split", None) or skill_split()
    limits = {name: kwargs.pop(name) for name in ("max_calls", "shuffle") if name in kwargs}
    options = OptimizerOptions(seed=seed, **kwargs)
    return MemoryLab(world, split, prompts or one_prompt(), options, **limits)


def path_of(lab: MemoryLab) -> list[tuple[str, str, bool, str]]:
    """All that a run decided, in order."""
    return [(d.candidate.id, str(d.candidate.prompts), d.accepted, d.reason) for d in lab.decisions]
