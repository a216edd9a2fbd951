"""Demonstrations: what a train case shows, sets of them, and small changes of a set.

A set is balanced over what is answered where the answers are few (labels), and diverse in what is
asked. Everything is drawn from streams that a resumed run draws again.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence

from cornerman.domain.battles import ToolCall
from cornerman.domain.training.candidates import (
    Candidate,
    Demo,
    Prompts,
    as_text,
    inputs_key,
)
from cornerman.domain.training.cases import Case, CaseResult
from cornerman.domain.training.optimizer import Lab
from cornerman.optimizers.feedback import trainable

Demos = tuple[Demo, ...]

# An answer of the agent's own is shown when its score is at least this.
GOOD = 0.8
# Of so many that are drawn, the one most unlike those that are in the set already is taken.
_DRAWN = 3
_WORD = re.compile(r"\w+")


def shown_prompt(prompts: Prompts) -> str:
    """The prompt that demonstrations go into: `system`, else the first that is trained."""
    names = trainable(prompts)
    return "system" if "system" in names else names[0]


def with_demos(prompts: Prompts, name: str, demos: Demos) -> Prompts:
    """The same prompts but for one's demonstrations."""
    return prompts | {name: prompts[name].model_copy(update={"demos": demos})}


def demos_in(candidate: Candidate) -> Demos:
    """The demonstrations of the prompt that they go into."""
    return candidate.prompts[shown_prompt(candidate.prompts)].demos


async def demonstrations(lab: Lab, known: Sequence[Candidate]) -> dict[str, Demo]:
    """What each train case can show, by case id; cases that nobody has answered well are absent.

    So is what is in validation too, as every case of a small dataset is: shown there, it would be
    scored as itself.

    The expected output, where that is what the agent says; else the best-scored answer that any of
    the known candidates gave, with the tools that it called on the way.
    """
    found = dict[str, Demo]()
    seen = {inputs_key(case.inputs) for case in lab.validation}
    for case in lab.train:
        key = inputs_key(case.inputs)
        if key in seen or not case.inputs:
            continue
        demo = _expected(lab, case) or await _own(lab, known, case)
        if demo is not None:
            found[case.id] = demo
            seen.add(key)
    return found


def _expected(lab: Lab, case: Case) -> Demo | None:
    if not lab.says_expected or case.expected_output is None:
        return None
    return Demo(inputs=case.inputs, output=as_text(case.expected_output))


async def _own(lab: Lab, known: Sequence[Candidate], case: Case) -> Demo | None:
    best: CaseResult | None = None
    for candidate in known:
        result = lab.results(candidate.id).get(case.id)
        if result is None or result.score is None or result.score < GOOD or result.output is None:
            continue
        if best is None or best.score is None or result.score > best.score:
            best = result
    if best is None:
        return None
    calls = [call for step in await lab.steps(best) for call in step.tool_calls]
    return Demo(inputs=case.inputs, output=as_text(best.output), messages=_call_messages(calls))


def _call_messages(calls: Sequence[ToolCall]) -> list[dict[str, object]]:
    """Tool calls and their results as a chat has them."""
    messages = list[dict[str, object]]()
    for number, call in enumerate(calls, start=1):
        name = f"call_{number}"
        function = {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)}
        asked = {"id": name, "type": "function", "function": function}
        messages.append({"role": "assistant", "content": "", "tool_calls": [asked]})
        answer = call.result if call.result is not None else call.error or ""
        messages.append({"role": "tool", "tool_call_id": name, "content": answer})
    return messages


class DemoDraws:
    """Draws sets, and changes of a set, from what the train cases can show.

    Args:
        pool: Demonstrations by case id.
        most: In one set; fewer where there are fewer.
    """

    def __init__(self, pool: Mapping[str, Demo], most: int) -> None:
        self.pool = list(pool.values())
        self.most = min(most, len(self.pool))
        self._words = {demo.key: frozenset(_words(demo)) for demo in self.pool}
        groups = dict[str, list[Demo]]()
        for demo in self.pool:
            groups.setdefault(as_text(demo.output), []).append(demo)
        # Answers that hardly repeat are no labels.
        self._groups = list(groups.values()) if 2 * len(groups) <= len(self.pool) else [self.pool]

    @property
    def sizes(self) -> list[int]:
        """Sizes worth trying: one of each answer, half of the most, the most."""
        labels = len(self._groups) if len(self._groups) > 1 else 0
        wanted = {labels, 2 * labels, (self.most + 1) // 2, self.most}
        return sorted(size for size in wanted if 0 < size <= self.most)

    def draw(self, size: int, rng: random.Random) -> Demos:
        """A set of that size: balanced, diverse, in random order."""
        left = [rng.sample(group, len(group)) for group in self._groups]
        taken = list[Demo]()
        while len(taken) < size:
            rng.shuffle(left)
            for group in left:
                if group and len(taken) < size:
                    taken.append(self._most_unlike(group, taken))
        rng.shuffle(taken)
        return tuple(taken)

    def _most_unlike(self, group: list[Demo], taken: Sequence[Demo]) -> Demo:
        drawn = range(min(_DRAWN, len(group)))
        likeness = [max((self._likeness(group[i], one) for one in taken), default=0) for i in drawn]
        return group.pop(likeness.index(min(likeness)))

    def _likeness(self, one: Demo, other: Demo) -> float:
        mine, theirs = self._words[one.key], self._words.get(other.key, frozenset())
        return len(mine & theirs) / (len(mine | theirs) or 1)

    def change(self, demos: Demos, rng: random.Random) -> Demos:
        """The set with one thing changed: an example swapped, dropped or added, or the order."""
        moves = ["swap", "swap", "order"]
        if len(demos) > 1:
            moves.append("drop")
        if len(demos) < self.most:
            moves.append("add")
        move, changed = rng.choice(moves), list(demos)
        held = {demo.key for demo in demos}
        fresh = [demo for demo in self.pool if demo.key not in held]
        if move == "order" or (move in ("swap", "add") and not fresh):
            rng.shuffle(changed)
        elif move == "drop":
            changed.pop(rng.randrange(len(changed)))
        elif move == "add":
            changed.insert(rng.randint(0, len(changed)), rng.choice(fresh))
        else:
            place = rng.randrange(len(changed))
            alike = [d for d in fresh if as_text(d.output) == as_text(changed[place].output)]
            changed[place] = rng.choice(alike or fresh)
        return tuple(changed)


def _words(demo: Demo) -> list[str]:
    return _WORD.findall(" ".join(as_text(value) for value in demo.inputs.values()).lower())
