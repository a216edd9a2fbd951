"""Landscape `desk`: an agent of three prompts and two tools, whose failures all look alike.

`plan` decides which tool to call with what, `tool:search` says how the search is to be asked, and
`write` makes the answer of what came back. Each lists rules; a case needs some rules of some of
them. What is wrong in the end is the same sentence every time, so only what the agent did on the
way tells which prompt lacks a rule.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from cornerman.domain.battles import ToolCall
from cornerman.domain.blame import Step
from cornerman.domain.training.candidates import Prompt, Prompts
from cornerman.domain.training.cases import Case, Score

NAMES = ("plan", "tool:search", "write")
RULES = {
    "plan": ("ask_number", "check_date", "pay_last"),
    "tool:search": ("by_number", "by_town", "newest_first"),
    "write": ("name_sum", "name_step", "say_sorry"),
}
# How many rules a case needs, of prompts drawn at random, and how often that is so.
_NEEDED = {0: 0.1, 1: 0.55, 2: 0.35}
_NOISE = 0.1
_CASES = 120
# How often the optimizer's model finds the rule that a case lacks in the prompt that it is shown,
# and how much more often when it reads there what the agent did.
_FINDS, _FINDS_WITH_STEPS = 0.6, 0.75
_LISTED = re.compile(r"(plan|tool:search|write) keeps these rules: ([\w, ]*)\.")
_CASE = re.compile(r"desk-\d{3}")
WRONG = "I am afraid that this cannot be done."


class DeskWorld:
    """The agent makes three model calls a case.

    Args:
        world_seed: Of everything that is not in a request.
        noisy: Whether a tenth of the answers goes wrong by chance.
    """

    calls_per_case = 3

    def __init__(self, world_seed: int, noisy: bool) -> None:
        self._world_seed = world_seed
        self._noisy = noisy

    def answer(self, prompts: Prompts, case: Case, seed: int) -> str:
        return WRONG if self._fault(prompts, case, seed) else "It is done."

    def score(self, case: Case, output: Any) -> Score:
        return Score(0.0, "the customer was not helped") if output == WRONG else Score(1.0)

    def _fault(self, prompts: Prompts, case: Case, seed: int) -> str | None:
        """The first prompt that lacks a rule which the case needs; by chance the last."""
        chance = random.Random(f"{self._world_seed}/{seed}/{case.id}")
        for name in NAMES:
            if _lacking(prompts[name].text, name, case):
                return name
        return "write" if self._noisy and chance.random() < _NOISE else None

    def steps(self, prompts: Prompts, case: Case, seed: int) -> list[Step]:
        """What a trace of the case shows."""
        fault = self._fault(prompts, case, seed)
        ok = ToolCall(name="search", arguments={"q": case.id}, result="3 found")
        lost = ToolCall(name="search", arguments={"q": "?"}, error="Error: no such field")
        paid = ToolCall(name="pay", arguments={"sum": 5}, result="paid")
        unpaid = ToolCall(name="pay", arguments={}, error="Error: no order is named")
        searched = lost if fault == "tool:search" else ok
        asked = unpaid if fault == "plan" else paid
        return [
            Step(("plan", "tool:search"), tool_calls=(searched,)),
            Step(("plan", "tool:search"), tool_calls=(asked,)),
            Step(("write",), said=self.answer(prompts, case, seed)),
        ]

    def rewrite(self, messages: Sequence[Mapping[str, str]], seed: int) -> str:
        text = messages[-1]["content"]
        chance = random.Random(f"{self._world_seed}/{seed}/{text}")
        found = _LISTED.search(text)
        assert found is not None, "every prompt of this landscape lists its rules"
        name, listed = found[1], [r.strip() for r in found[2].split(",") if r.strip()]
        shown = [case for case in desk_cases() if case.id in set(_CASE.findall(text))]
        lacking = [rule for case in shown for rule in _lacking(found[0], name, case)]
        finds = _FINDS_WITH_STEPS if "step 1" in text else _FINDS
        if lacking and chance.random() < finds:
            listed.append(chance.choice(lacking))
        else:
            listed.append(f"kindness_{chance.randrange(100)}")
        new = f"{name} keeps these rules: {', '.join(listed)}."
        # gepa wants a fence; its own template is the one that has fences.
        return f"```\n{new}\n```" if "```" in text else f"<rewrite>{new}</rewrite>"


def _lacking(text: str, name: str, case: Case) -> list[str]:
    found = _LISTED.search(text)
    listed = {rule.strip() for rule in found[2].split(",")} if found else set[str]()
    return [rule for rule in case.metadata["needs"][name] if rule not in listed]


def desk_prompts() -> Prompts:
    """Three trainable prompts without a rule."""
    return {
        name: Prompt(text=f"{name} keeps these rules: none.", requires_grad=True) for name in NAMES
    }


@lru_cache
def desk_cases() -> tuple[Case, ...]:
    """The cases, always the same. Their inputs say nothing of what they need."""
    chance = random.Random("desk")
    made = list[Case]()
    for index in range(_CASES):
        (count,) = chance.choices(list(_NEEDED), list(_NEEDED.values()))
        needs: dict[str, list[str]] = {name: [] for name in NAMES}
        for name in chance.sample(NAMES, count):
            needs[name].append(chance.choice(RULES[name]))
        ticket = f"desk-{index:03}"
        inputs = {"message": f"Customer {index} writes.", "ticket": ticket}
        made.append(Case(ticket, index, inputs, "It is done.", metadata={"needs": needs}))
    return tuple(made)
