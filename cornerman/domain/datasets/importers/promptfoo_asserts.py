"""promptfoo's assertions: which of them say what output is expected, and what else could check."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, cast

from cornerman.domain.texts import counted

# What an assertion's value is: the answer itself, an answer to be like, or a part of it.
_EQUAL = ("equals",)
_REFERENCE = (
    "factuality",
    "model-graded-factuality",
    "similar",
    "levenshtein",
    "rouge-n",
    "bleu",
    "gleu",
    "meteor",
    "context-recall",
)
_PART = ("contains", "icontains", "starts-with")
_EXPECTED = (_EQUAL, _REFERENCE, _PART)
# What checks the same with us.
_OURS = {
    "equals": "exact_match",
    "contains": "contains",
    "icontains": "contains",
    "regex": "regex",
    "is-json": "json_schema",
    "contains-json": "json_schema",
    "is-valid-openai-tools-call": "tool_calls",
    **dict.fromkeys(_REFERENCE, "llm_judge"),
    **dict.fromkeys(
        ("llm-rubric", "g-eval", "model-graded-closedqa", "answer-relevance"), "llm_judge"
    ),
}
_TYPED = re.compile(r"(not-)?([a-z][a-z0-9-]*)(?:\((\d+(?:\.\d+)?)\))?(?::([\s\S]*))?")
_KNOWN = {
    *_OURS,
    *_PART,
    *("contains-all", "contains-any", "icontains-all", "icontains-any", "answer-relevance"),
    *("classifier", "context-faithfulness", "context-relevance", "cost", "latency", "perplexity"),
    *(
        "perplexity-score",
        "is-sql",
        "contains-sql",
        "is-xml",
        "contains-xml",
        "is-html",
        "moderation",
    ),
    *("is-refusal", "javascript", "python", "webhook", "select-best", "max-score", "pi", "ruby"),
    *("is-valid-function-call", "is-valid-openai-function-call", "guardrails", "finish-reason"),
}
_LISTS = ("contains-all", "contains-any", "icontains-all", "icontains-any")
_LEGACY = {"grade": "llm-rubric", "fn": "javascript", "eval": "javascript"}


def assert_of_text(text: str) -> dict[str, Any]:
    """The assertion that a cell of `__expected` is; a text without a known type is `equals`."""
    head, colon, rest = text.partition(":")
    if colon and head in _LEGACY:
        return {"type": _LEGACY[head], "value": rest.strip()}
    match = _TYPED.fullmatch(text)
    if match is None or match[2] not in _KNOWN:
        return {"type": "equals", "value": text}
    value: Any = None if match[4] is None else match[4].strip()
    if match[2] in _LISTS and value is not None:
        value = [part.strip() for part in value.split(",")]
    found: dict[str, Any] = {"type": f"{match[1] or ''}{match[2]}"}
    if value is not None:
        found["value"] = value
    return found | ({"threshold": float(match[3])} if match[3] else {})


def asserts_of(
    default: Mapping[str, Any], test: Mapping[str, Any], templates: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """A test's assertions with the default's before them, sets flattened, templates resolved."""
    options = test.get("options")
    alone = isinstance(options, Mapping) and options.get("disableDefaultAsserts")
    held = [] if alone else _flat(default.get("assert"), templates)
    return held + _flat(test.get("assert"), templates)


def _flat(held: Any, templates: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = list[dict[str, Any]]()
    for one in cast("list[Any]", held) if isinstance(held, list) else []:
        if isinstance(one, str):
            found.append(assert_of_text(one))
        elif isinstance(one, Mapping):
            fields = cast("Mapping[str, Any]", one)
            reference = str(fields.get("$ref", "")).rpartition("/")[2]
            if isinstance(templates.get(reference), Mapping):
                fields = {**templates[reference], **fields}
            # A set of which one suffices (`or`) stays as it is.
            if fields.get("type") in ("assert-set", "and"):
                found += _flat(fields.get("assert"), templates)
            else:
                found.append({k: v for k, v in fields.items() if k != "$ref"})
    return found


def expected_of(asserts: list[dict[str, Any]]) -> Any:
    """The output that assertions expect; None where none of them says one."""
    for kinds in _EXPECTED:
        for one in asserts:
            value = one.get("value")
            is_code = isinstance(value, str) and value.startswith("file://")
            if one.get("type") in kinds and value not in (None, "") and not is_code:
                return value
    return None


def evaluators_note(types: Counter[str], without: int) -> list[str]:
    """What checks the same with us, and what does not."""
    ours, other = Counter[str](), Counter[str]()
    for kind, count in types.items():
        if kind in _OURS:
            ours[f"{kind} -> {_OURS[kind]}"] += count
        else:
            other[kind] += count
    notes = list[str]()
    if ours:
        notes.append("evaluators for the assertions: " + _counts(ours))
    if other:
        notes.append(f"kept in metadata.assert, and checked by no evaluator: {_counts(other)}")
    if without:
        notes.append(f"no expected output in {counted(without, 'case')}: no assertion names one")
    return notes


def _counts(counted: Counter[str]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in counted.most_common())
