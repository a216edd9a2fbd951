"""`tool_calls`: whether an agent called the tools that it should, and none that it should not.

In a workflow file, on a battle; in a training request, on outputs that hold `tool_calls` or
`messages`, such as a LangGraph state (`config: {path: ...}` names another part).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cornerman.domain.training.cases import EvaluationContext, Score

Json = Mapping[str, Any]


class WantedCall(BaseModel):
    """A call that must have been made.

    Args:
        arguments: Those that count, with their values; others may have any. None: any at all.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    arguments: dict[str, Any] | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, given: Any) -> Any:
        return {"name": given} if isinstance(given, str) else given


class ToolCalls(BaseModel):
    """1 when every condition holds, else 0 with the conditions that do not.

    What `expected_output` holds (in a workflow: its scenario's `expected`) counts beside the
    config: `{"tool_calls": [{"name", "arguments"}], "said": [text]}`. Calls that failed count as
    not made, except for `forbidden`.

    Args:
        required: Calls that must be made; a name alone, or a name with arguments.
        forbidden: Names of tools that must not be called.
        changing: Names of the tools that change something. Of these exactly the expected and
            required calls must be made, with exactly their arguments, each as often. None: more
            calls than those required do no harm.
        said: Texts that the agent must say to the other side, but for case and commas.
        most_calls: So many calls at most.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    required: tuple[WantedCall, ...] = ()
    forbidden: tuple[str, ...] = ()
    changing: tuple[str, ...] | None = None
    said: tuple[str, ...] = ()
    most_calls: int | None = Field(default=None, ge=0)

    @property
    def instant(self) -> bool:
        """It takes no time worth a thread."""
        return True

    def __call__(self, context: EvaluationContext) -> Score:
        made, spoken = _made(context)
        given: Any = context.expected_output
        expected = cast("Json", given) if isinstance(given, Mapping) else {}
        wanted = [*self.required, *map(WantedCall.model_validate, expected.get("tool_calls") or ())]
        done = [call for call in made if not call.get("error")]
        faults = [
            *self._missing(wanted, done),
            *self._changed(wanted, done),
            *(f"{n} was called" for n in self.forbidden if any(c["name"] == n for c in made)),
            *_unsaid([*self.said, *map(str, expected.get("said") or ())], spoken),
        ]
        if self.most_calls is not None and len(made) > self.most_calls:
            faults.append(f"{len(made)} calls were made, {self.most_calls} at most are allowed")
        return Score(0.0 if faults else 1.0, "; ".join(faults)[:1_000] or None)

    def _missing(self, wanted: Sequence[WantedCall], done: Sequence[Json]) -> list[str]:
        changing = self.changing or ()
        return [
            f"{_shown(call.name, call.arguments)} was not called"
            for call in wanted
            if call.name not in changing and not any(_fits(call, made) for made in done)
        ]

    def _changed(self, wanted: Sequence[WantedCall], done: Sequence[Json]) -> list[str]:
        """How what was changed differs from what should have been."""
        if self.changing is None:
            return []
        asked = Counter(_key(c.name, c.arguments or {}) for c in wanted if c.name in self.changing)
        found = Counter(
            _key(c["name"], c.get("arguments")) for c in done if c["name"] in self.changing
        )
        less, more = asked - found, found - asked
        return [f"{call} was not called" for call in less] + [
            f"{call} was called and should not have been" for call in more
        ]


def _made(context: EvaluationContext) -> tuple[list[Json], str]:
    """The calls that were made, and what the agent said."""
    from cornerman.domain.battles.replies import tool_calls_in

    output: Any = context.output if isinstance(context.output, Mapping) else context.state
    if isinstance(output, Mapping):
        held = cast("Json", output)
        if "tool_calls" in held:
            turns = cast("list[Json]", held.get("turns") or [])
            said = [str(turn["text"]) for turn in turns if turn.get("speaker") == "agent"]
            return list(held["tool_calls"]), "\n".join(said)
        if isinstance(held.get("messages"), list):
            calls = tool_calls_in(held["messages"])
            return [call.model_dump() for call in calls], json.dumps(held["messages"])
    raise ValueError(
        "tool_calls needs an output with `tool_calls` or `messages`; "
        f"a {type(context.output).__name__} came. `config: {{path: ...}}` names a part of a state."
    )


def _fits(wanted: WantedCall, made: Json) -> bool:
    if made["name"] != wanted.name:
        return False
    given = made.get("arguments")
    return wanted.arguments is None or (
        isinstance(given, Mapping)
        and all(
            name in given and _same(value, cast("Json", given)[name])
            for name, value in wanted.arguments.items()
        )
    )


def _same(a: Any, b: Any) -> bool:
    return _canonical(a) == _canonical(b)


def _canonical(value: Any) -> Any:
    """A value in which 1 and 1.0 are one, and the order of an object's keys says nothing."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, float)):
        return float(value)
    if isinstance(value, Mapping):
        held = cast("Json", value)
        return {str(name): _canonical(held[name]) for name in sorted(held, key=str)}
    if isinstance(value, (list, tuple)):
        return [_canonical(item) for item in cast("Sequence[Any]", value)]
    return value


def _key(name: str, arguments: Any) -> str:
    return _shown(name, _canonical(arguments))


def _shown(name: str, arguments: Any) -> str:
    if arguments is None:
        return name
    return f"{name}({json.dumps(arguments, ensure_ascii=False, sort_keys=True, default=str)})"[:300]


def _unsaid(wanted: Sequence[str], spoken: str) -> list[str]:
    # As tau-bench compares (Yao et al. 2024): but for case and the commas in numbers.
    plain = spoken.lower().replace(",", "")
    missing = (text for text in wanted if text.lower().replace(",", "") not in plain)
    return [f"{text!r} was not said" for text in missing]
