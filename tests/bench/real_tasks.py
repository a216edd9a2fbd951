"""The real tasks of `make bench-real`: banking77's messages and two of BIG-Bench-Hard's.

Read from ../shared/data, where that is; see its SOURCES.md.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

from cornerman.domain.datasets.load import DatasetSplit
from cornerman.domain.seeds import stream
from cornerman.domain.training.candidates import Prompt, Prompts
from cornerman.domain.training.cases import Case

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
TRAIN, VALIDATION, TEST = 24, 24, 60
MAX_TOKENS = 8

_FOUR = {
    "lost_or_stolen_card": "lost card",
    "exchange_rate": "exchange rate",
    "top_up_failed": "failed top-up",
    "age_limit": "age limit",
}
_OTHER_FOUR = {
    "card_arrival": "card arrival",
    "change_pin": "change PIN",
    "cash_withdrawal_charge": "withdrawal fee",
    "terminate_account": "close account",
}
BANKING = {
    "banking77, 4 topics": _FOUR,
    "banking77, 4 others": _OTHER_FOUR,
    "banking77, 8 topics": _FOUR | _OTHER_FOUR,
}
BBH = {
    "bbh, boolean expressions": ("boolean_expressions", "Answer with True or False alone."),
    "bbh, object counting": ("object_counting", "Answer with one number alone."),
}
TASKS = (*BANKING, *BBH)


@dataclass(frozen=True)
class Task:
    """One task with one seed's split, none of whose test cases any search sees."""

    name: str
    prompts: Prompts
    split: DatasetSplit


def load_task(name: str, seed: int) -> Task:
    """A task's cases, drawn by seed: 24 to show, 24 to choose by, 60 to tell."""
    rng = stream(seed, "bench-real", name)
    if name in BANKING:
        topics = BANKING[name]
        known, unknown = (_messages(part, topics) for part in ("train.csv", "test.csv"))
        rng.shuffle(known)
        rng.shuffle(unknown)
        drawn = _balanced(known, TRAIN + VALIDATION) + _balanced(unknown, TEST)
        said = ", ".join(topics.values())
        text = f"Name the message's topic. Answer with exactly one of: {said}."
        field = "message"
    else:
        file, text = BBH[name]
        held = json.loads((DATA / "bbh" / f"{file}.json").read_text())["examples"]
        drawn = [(one["input"], one["target"]) for one in held]
        rng.shuffle(drawn)
        drawn, field = drawn[: TRAIN + VALIDATION + TEST], "question"
    cases = [
        Case(f"case-{place}", place, {field: asked}, answer)
        for place, (asked, answer) in enumerate(drawn)
    ]
    shown = cases[: TRAIN + VALIDATION]
    rng.shuffle(shown)
    prompt = Prompt(
        text=text,
        requires_grad=True,
        model_kwargs={"temperature": 0, "max_tokens": MAX_TOKENS},
    )
    split = DatasetSplit(
        train=tuple(shown[:TRAIN]),
        validation=tuple(shown[TRAIN:]),
        test=tuple(cases[TRAIN + VALIDATION :]),
    )
    return Task(name, {"system": prompt}, split)


def _messages(file: str, topics: dict[str, str]) -> list[tuple[str, str]]:
    with (DATA / "banking77" / file).open(newline="", encoding="utf-8") as lines:
        return [
            (row["text"].strip(), topics[row["category"]])
            for row in csv.DictReader(lines)
            if row["category"] in topics
        ]


def _balanced(held: list[tuple[str, str]], count: int) -> list[tuple[str, str]]:
    """As many of each answer, as near as can be."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for one in held:
        groups.setdefault(one[1], []).append(one)
    taken: list[tuple[str, str]] = []
    while len(taken) < count:
        for group in groups.values():
            if group and len(taken) < count:
                taken.append(group.pop())
    return taken


def is_right(expected: str, output: object) -> bool:
    """The same words, whatever the case and a full stop at the end."""
    return str(output).strip().rstrip(".").casefold() == str(expected).strip().casefold()
