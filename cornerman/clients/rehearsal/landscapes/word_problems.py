"""General task: a number from a story with numbers. Honest guesswork, and mostly wrong."""

from __future__ import annotations

import math
import re

from cornerman.clients.rehearsal.landscapes.counting import NUMBER_WORDS
from cornerman.clients.rehearsal.landscapes.puzzles import CAREFUL
from cornerman.clients.rehearsal.landscapes.shared_rules import answer_only
from cornerman.clients.rehearsal.landscapes.stock_book import as_number
from cornerman.clients.rehearsal.rules import Attempt

_NUMBER = re.compile(
    r"(?<![\w.])\$?(\d[\d,]*(?:\.\d+)?)|\b(two|three|four|five|six|seven|eight|nine|ten|half|twice)\b",
    re.IGNORECASE,
)
_MULTIPLY = re.compile(r"\b(?:each|every|per|times|an hour|a week|a day|apiece)\b", re.IGNORECASE)
_SUBTRACT = re.compile(r"\b(?:left|remain\w*|fewer|less|lost|ate|gave|spent)\b", re.IGNORECASE)


class WordProblems:
    """The task; see the module's docstring."""

    name = "word_problem"
    rules = (answer_only("number"), CAREFUL)

    def fits(self, prompt: str, text: str) -> bool:
        return "?" in text and len(_numbers(text)) >= 2

    def answer(self, attempt: Attempt) -> str:
        numbers = _numbers(attempt.text)
        careful = attempt.follows("careful")
        result = as_number(_guess(attempt.text, numbers) if careful else sum(numbers), 2)
        if "####" in attempt.prompt or "####" in attempt.text:
            steps = " and ".join(as_number(number, 2) for number in numbers[:4])
            return f"The story gives {steps}.\n#### {result}"
        return f"It comes to {result}." if attempt.slips("answer_only", 0.3) else result


def _numbers(text: str) -> list[float]:
    found = [float(match[1].replace(",", "")) if match[1] else NUMBER_WORDS[match[2].lower()]
             for match in _NUMBER.finditer(text[:4_000])]  # fmt: skip
    # Products of figures as long as these would not be numbers any more.
    return [float(number) for number in found if number < 1e12][:12]


def _guess(text: str, numbers: list[float]) -> float:
    if _SUBTRACT.search(text):
        return numbers[0] - sum(numbers[1:])
    return math.prod(numbers[:3]) if _MULTIPLY.search(text) else sum(numbers)
