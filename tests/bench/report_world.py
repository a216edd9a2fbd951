"""Landscape `reports`: two prompts, graded scores, and rewrites that nothing can be joined with.

A report needs one to three aspects; a prompt lists those that it asks for. The optimizer's model
writes the whole list anew in another order, as a model does that does not keep lines apart.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from cornerman.domain.training.candidates import Prompt, Prompts
from cornerman.domain.training.cases import Case, Score

ASPECTS = {
    "content": ("causes", "costs", "dates", "people", "risks"),
    "style": ("brevity", "headings", "numbers", "sources", "summary"),
}
_EVERY = tuple(aspect for aspects in ASPECTS.values() for aspect in aspects)
_LISTED = re.compile(r"(Content|Style) asks for: ([\w, ]*)\.")
_MISSING = re.compile(r"missing: ([\w, ]+)")
_BAD_REWRITE_SHARE = 0.25
_NOISE = 0.1
_CASES = 120


class ReportWorld:
    """An agent that does what its prompts list, graded by the share of what was needed.

    Args:
        world_seed: Of everything that is not in a request.
        noisy: Whether a tenth of the aspects goes wrong by chance.
    """

    def __init__(self, world_seed: int, noisy: bool) -> None:
        self._world_seed = world_seed
        self._noisy = noisy

    def answer(self, prompts: Prompts, case: Case, seed: int) -> list[str]:
        listed = {aspect for prompt in prompts.values() for aspect in _listed(prompt.text)}
        chance = random.Random(f"{self._world_seed}/{seed}/{case.id}/{sorted(listed)}")
        astray = {a for a in _EVERY if self._noisy and chance.random() < _NOISE}
        return sorted(listed ^ astray)

    def score(self, case: Case, output: Any) -> Score:
        missing = sorted(set(case.expected_output) - set(output))
        share = 1 - len(missing) / len(case.expected_output)
        return Score(share, f"missing: {', '.join(missing)}" if missing else None)

    def rewrite(self, messages: Sequence[Mapping[str, str]], seed: int) -> str:
        text = messages[-1]["content"]
        chance = random.Random(f"{self._world_seed}/{seed}/{text}")
        found = _LISTED.search(text)
        kind = found[1].lower() if found else "content"
        listed = list(_listed(found[0])) if found else []
        named = [a.strip() for group in _MISSING.findall(text) for a in group.split(",")]
        useful = [aspect for aspect in named if aspect in ASPECTS[kind] and aspect not in listed]
        if chance.random() < _BAD_REWRITE_SHARE:
            listed = listed[1:] if chance.random() < 0.5 else [*listed, "kindness"]
        elif useful:
            listed.append(chance.choice(useful))
        chance.shuffle(listed)
        new = _prompt_text(kind, listed)
        # gepa wants a fence; its own template is the one that has fences.
        return f"```\n{new}\n```" if "```" in text else f"<rewrite>{new}</rewrite>"


def _listed(text: str) -> tuple[str, ...]:
    found = _LISTED.search(text)
    return tuple(part.strip() for part in found[2].split(",") if part.strip()) if found else ()


def _prompt_text(kind: str, aspects: Sequence[str]) -> str:
    return f"{kind.capitalize()} asks for: {', '.join(aspects)}."


def report_prompts() -> Prompts:
    """Two trainable prompts that ask for one aspect each."""
    return {
        kind: Prompt(text=_prompt_text(kind, aspects[:1]), requires_grad=True)
        for kind, aspects in ASPECTS.items()
    }


@lru_cache
def report_cases() -> tuple[Case, ...]:
    """The cases, always the same."""
    chance = random.Random("reports")
    needs = [sorted(chance.sample(_EVERY, chance.choice((1, 2, 3)))) for _ in range(_CASES)]
    return tuple(
        Case(f"report-{index:03}", index, {"topic": f"Report number {index}"}, need)
        for index, need in enumerate(needs)
    )
