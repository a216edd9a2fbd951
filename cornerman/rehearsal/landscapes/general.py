"""General tasks that need no prompt of their own: counting, labels, puzzles, word problems."""

from __future__ import annotations

import math
import re
from functools import lru_cache

from cornerman.rehearsal.landscapes.stock import as_number
from cornerman.rehearsal.landscapes.triage import LABELS as TRIAGE_LABELS
from cornerman.rehearsal.rules import Attempt, Feedback, Rule, answer_only, same_letters

_QUESTION = re.compile(r"\bhow many ([\w ]{3,40}?) do (?:i|we) have\b", re.IGNORECASE)
_LIST = re.compile(r"\b(?:i|we) have (.{3,4000}?)[.?!]", re.IGNORECASE | re.DOTALL)
_ITEM = re.compile(r",\s*(?:and\s+)?|\s+and\s+")
NUMBER_WORDS = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "half": 0.5, "twice": 2,
}  # fmt: skip
# What the agent knows of kinds; a kind that is not here takes everything in the list.
_KINDS: dict[str, str] = {
    "fruit": "apple banana orange plum peach grape nectarine pear cherry melon mango kiwi lemon "
    "strawberr blackberr raspberr blueberr apricot fig",
    "vegetable": "yam lettuce onion broccoli cauliflower potato cabbage carrot garlic celery bean "
    "pea spinach turnip leek tomato",
    "musical instrument": "trumpet accordion drum piano trombone flute clarinet violin guitar "
    "cello harp oboe saxophone viola tuba",
    "animal": "fish mouse mice pig duck snail donkey frog chicken goat rabbit cow snake bear cat "
    "dog horse sheep hen bird turtle",
}


def _has_distractor(feedback: Feedback) -> bool:
    kind, items = _read(feedback.text)
    return any(not _belongs(name, kind) for name, _ in items)


def _long_list(feedback: Feedback) -> bool:
    return len(_read(feedback.text)[1]) >= 7


COUNTING_RULES = (
    answer_only("number"),
    Rule(
        name="only_kind",
        said=(r"\b(?:only|just) (?:count )?(?:the )?(?:items|things|objects|those|what)\b",
              r"\b(?:belong\w*|fits?|match\w*) (?:to |into )?(?:the|that) (?:kind|group)\b",
              r"\b(?:leave out|exclude|skip|ignore) (?:items|things|whatever|everything)\b"),
        denied=(r"\bcount everything\b",),
        contradictions=("Count everything that is in the list.",),
        phrasings=("Count only the things of the kind that is asked for.",
                   "Leave out items of another kind.", "Skip whatever does not match the kind."),
        symptom=_has_distractor,
    ),
    Rule(
        name="one_by_one",
        said=(r"\bone (?:by one|at a time|after)\b", r"\bstep[- ]by[- ]step\b",
              r"\b(?:add|count|go through) (?:up )?(?:each|every)\b", r"\bcarefully\b"),
        phrasings=("Go through every item one by one.", "Add up each quantity step by step.",
                   "Count each entry, one after the other."),
        symptom=_long_list,
    ),
)  # fmt: skip


class Counting:
    """The task; see the module's docstring."""

    name = "counting"
    rules = COUNTING_RULES

    def fits(self, prompt: str, text: str) -> bool:
        return bool(_QUESTION.search(text) and _LIST.search(text))

    def answer(self, attempt: Attempt) -> str:
        kind, items = _read(attempt.text)
        picky = attempt.follows("only_kind")
        total = sum(count for name, count in items if not picky or _belongs(name, kind))
        if len(items) >= 7 and attempt.slips("one_by_one", 0.35):
            total -= 1
        total += attempt.luck.pick((-1, 1), "slip") if attempt.misread else 0
        return f"You have {total} {kind}." if attempt.slips("answer_only", 0.3) else str(total)


def _read(text: str) -> tuple[str, list[tuple[str, int]]]:
    """The kind asked for, and the items with their counts."""
    kind, listed = _QUESTION.search(text), _LIST.search(text)
    items = [_item(part) for part in _ITEM.split(listed[1])] if listed else []
    return (kind[1] if kind else "things"), [item for item in items if item[0]]


def _item(part: str) -> tuple[str, int]:
    head, _, rest = part.strip().partition(" ")
    if head.isdecimal():
        return rest, int(head[:9])
    return (rest, int(NUMBER_WORDS[head.lower()])) if head.lower() in NUMBER_WORDS else (part, 1)


def _belongs(name: str, kind: str) -> bool:
    for known, members in _KINDS.items():
        if kind.lower().startswith(known):
            return any(member in name.lower() for member in members.split())
    return True


_SNAKE = re.compile(r"\b[A-Za-z]+(?:_[A-Za-z]+)+\b\??")
_LISTED = re.compile(
    r"\b(?:labels?|intents?|categories|classes|topics|options|one of)\b[^:\n]{0,60}:"
    r"\s*([^.]{5,6000})",
    re.IGNORECASE,
)
_WORD = re.compile(r"[a-z]{3,}")
_FEWEST = 3


@lru_cache(maxsize=256)
def labels_in(prompt: str) -> tuple[str, ...]:
    """The labels that a prompt lists, each once; fewer than three are a list only if named one."""
    found = list(_SNAKE.findall(prompt))
    fewest = 1 if found and _LISTED.search(prompt) else _FEWEST
    for match in _LISTED.finditer(prompt):
        parts = [part.strip(" -*\"'`") for part in re.split(r"[,;|\n]|\bor\b", match[1])]
        found += [part for part in parts if part and len(part.split()) <= 4]
    unique = tuple(dict.fromkeys(found))
    return unique if len(unique) >= fewest else ()


INTENT_RULES = (
    answer_only("label"),
    Rule(
        name="spelling",
        said=(r"\bunderscores?\b",
              r"\bexactly as (?:it is |they are )?(?:written|listed|spelled|given)",
              r"\bverbatim\b", r"\blower[- ]?case\b"),
        phrasings=("Write the label exactly as listed, underscores included.",
                   "Keep the label's lowercase spelling and its underscores."),
        symptom=lambda feedback: feedback.expected.strip() != feedback.output.strip()
        and same_letters(feedback.expected, feedback.output),
    ),
)  # fmt: skip


class Intents:
    """The task; see the module's docstring."""

    name = "intents"
    rules = INTENT_RULES

    def fits(self, prompt: str, text: str) -> bool:
        labels = labels_in(prompt)
        return bool(labels) and len(set(TRIAGE_LABELS) & set(labels)) < 4

    def answer(self, attempt: Attempt) -> str:
        labels = labels_in(attempt.prompt)
        label = _closest(attempt.text, labels) or attempt.luck.pick(labels, "guess")
        if attempt.misread:
            label = attempt.luck.pick(labels, "wrong label")
        if attempt.slips("answer_only", 0.2):
            return f"The intent is {label}."
        if attempt.slips("spelling", 0.2):
            return label.replace("_", " ").capitalize()
        return label


def _closest(text: str, labels: tuple[str, ...]) -> str | None:
    """The label with the rarest words in common with the text, None without any."""
    rarity = _rarity(labels)
    said = {word[:5] for word in _WORD.findall(text.lower())}
    best, best_score = None, 0.0
    for label in labels:
        stems = _stems(label)
        shared = sum(rarity[stem] for stem in stems if stem in said)
        score = shared / (1 + 0.3 * len(stems))
        if score > best_score:
            best, best_score = label, score
    return best


@lru_cache(maxsize=1024)
def _stems(label: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word[:5] for word in _WORD.findall(label.lower())))


@lru_cache(maxsize=256)
def _rarity(labels: tuple[str, ...]) -> dict[str, float]:
    counts: dict[str, int] = {}
    for label in labels:
        for stem in _stems(label):
            counts[stem] = counts.get(stem, 0) + 1
    return {stem: 1.0 / count**0.5 for stem, count in counts.items()}


_BOOLEAN = re.compile(
    r"^[\s()]*(?:(?:true|false|and|or|not)[\s()]*){2,400}(?:is)?\s*[?=]?\s*$", re.I
)
_TOKEN = re.compile(r"true|false|and|or|not|[()]", re.IGNORECASE)
_SORT = re.compile(r"\bsort the following words\b[^:]*:?\s*(?:list:)?\s*(.{1,4000})", re.I | re.S)
_OPTION = re.compile(r"^\(([A-Z])\)", re.MULTILINE)

CAREFUL = Rule(
    name="careful",
    said=(r"\bstep[- ]by[- ]step\b", r"\bcarefully\b", r"\bone (?:by one|at a time)\b",
          r"\b(?:inside|innermost|letter by letter|in order of)\b"),
    phrasings=("Work it out step by step before you answer.", "Go carefully, one at a time."),
    symptom=lambda feedback: feedback.expected.strip() != feedback.output.strip(),
)  # fmt: skip


class BooleanExpressions:
    """`not True or ( False )` is True or False."""

    name = "boolean"
    rules = (answer_only("answer"), CAREFUL)

    def fits(self, prompt: str, text: str) -> bool:
        # Brackets are read by recursion, so their number is bounded.
        small = len(text) < 2_000 and text.count("(") < 60
        return small and _BOOLEAN.match(text) is not None

    def answer(self, attempt: Attempt) -> str:
        value = _evaluate([token.lower() for token in _TOKEN.findall(attempt.text)])
        if attempt.misread or attempt.slips("careful", 0.25):
            value = not value
        return f"The result is {value}." if attempt.slips("answer_only", 0.3) else str(value)


def _evaluate(tokens: list[str]) -> bool:
    """Evaluate by Python's precedence: not before and before or."""
    value = _conjunction(tokens)
    while tokens and tokens[0] == "or":
        tokens.pop(0)
        right = _conjunction(tokens)
        value = value or right
    return value


def _conjunction(tokens: list[str]) -> bool:
    value = _factor(tokens)
    while tokens and tokens[0] == "and":
        tokens.pop(0)
        right = _factor(tokens)
        value = value and right
    return value


def _factor(tokens: list[str]) -> bool:
    # A run of "not" is counted rather than recursed into: it may be hundreds long.
    flips = 0
    while tokens and tokens[0] == "not":
        tokens.pop(0)
        flips += 1
    head = tokens.pop(0) if tokens else "false"
    value = head == "true"
    if head == "(":
        value = _evaluate(tokens)
        if tokens and tokens[0] == ")":
            tokens.pop(0)
    return value != bool(flips % 2)


class WordSorting:
    """Sort the following words alphabetically."""

    name = "sorting"
    rules = (answer_only("result"), CAREFUL)

    def fits(self, prompt: str, text: str) -> bool:
        return _SORT.search(text) is not None

    def answer(self, attempt: Attempt) -> str:
        found = _SORT.search(attempt.text)
        words = sorted((found[1] if found else "").replace(",", " ").split())
        if len(words) > 2 and (attempt.misread or attempt.slips("careful", 0.45)):
            words[1], words[2] = words[2], words[1]
        line = " ".join(words)
        return f"Sorted: {line}" if attempt.slips("answer_only", 0.3) else line


class MultipleChoice:
    """One of the options (A), (B), …; the agent guesses, as it cannot reason."""

    name = "choice"
    rules = (answer_only("answer"), CAREFUL)

    def fits(self, prompt: str, text: str) -> bool:
        return len(_OPTION.findall(text)) >= 2

    def answer(self, attempt: Attempt) -> str:
        options = _OPTION.findall(attempt.text)
        choice = f"({attempt.luck.pick(options, 'guess')})"
        return f"The answer is {choice}." if attempt.slips("answer_only", 0.3) else choice


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
