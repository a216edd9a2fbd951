"""Where a case went wrong, as far as its model calls tell, and which prompt was in use there.

An agent of several prompts fails as a whole. Its trace says more: which prompts were in which
call, which tool was called with what, what came back, and whether the next call cared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cornerman.domain.battles import ToolCall
from cornerman.domain.battles.replies import tool_calls_of
from cornerman.domain.traces import CallTrace, texts_in

# A prompt of such a name is a tool's description: `prompts["tool:search"]`.
TOOL_PREFIX = "tool:"
# How much each sign counts against a prompt, found by comparing landscapes of the bench.
_CALLED_WRONGLY, _ERROR_IGNORED, _LAST_STEP, _IN_USE = 4.0, 3.0, 1.5, 0.25
_MOST_STEPS = 12
_MOST_CHARS = 300


@dataclass(frozen=True)
class Step:
    """One of the agent's model calls.

    Args:
        prompts: Names of the candidate's prompts that were in it.
        said: The model's text; empty where it only called tools.
        tool_calls: What it called, with what came back.
        error: Why the call failed; None when it did not.
    """

    prompts: tuple[str, ...]
    said: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    error: str | None = None


@dataclass(frozen=True)
class Suspicion:
    """A prompt that may be to blame, why, in words, and by how much.

    Args:
        step: Which of the steps shows it.
    """

    prompt: str
    why: str
    weight: float
    step: int

    @property
    def is_shown(self) -> bool:
        """Whether something in the trace speaks against the prompt, and not only its place."""
        return self.weight >= _ERROR_IGNORED


def steps_of(trace: Sequence[Mapping[str, Any]]) -> list[Step]:
    """The agent's steps in a case's stored calls (`cornerman.storage.traces.read_trace`)."""
    calls = [call for call in trace if call["role"] == "agent"]
    return [
        Step(
            prompts=tuple(call["prompts"]),
            said=" ".join(texts_in(_content(call["response"]))),
            tool_calls=_answered(call, calls[place + 1 :]),
            error=call["error"],
        )
        for place, call in enumerate(calls)
    ]


def _content(response: Any) -> Any:
    return response.get("content") if isinstance(response, Mapping) else response


def _answered(call: Mapping[str, Any], later: Sequence[Mapping[str, Any]]) -> tuple[ToolCall, ...]:
    """A call's tool calls with their results, which stand in a later call's messages."""
    if not call["tool_calls"]:
        return ()
    asked = CallTrace("agent", "", tool_calls=call["tool_calls"])
    told = [CallTrace("agent", "", messages=after["messages"]) for after in later[:1]]
    return tool_calls_of([asked, *told])


def suspicions(steps: Sequence[Step], trainable: Sequence[str]) -> list[Suspicion]:
    """The prompts that may be to blame for a case that failed, each once, the most suspect first.

    A tool's error counts against the prompt that had it called so, and against the tool's own
    description; where the next step went on as if nothing had been, against that one's too. An
    error that was mended by calling again counts against nobody. Without one the last step is
    the likeliest; every other prompt that was in use keeps a small part.

    Args:
        trainable: Names of the prompts that may be rewritten; others are nobody's business.
    """
    found = list[Suspicion]()
    for place, step in enumerate(steps):
        after = steps[place + 1] if place + 1 < len(steps) else None
        for call in step.tool_calls:
            if call.error is not None and not _is_mended(call, after):
                found += _of_failed_call(call, place, step, after)
        if step.error is not None:
            why = f"the call failed: {step.error[:80]}"
            found += [Suspicion(name, why, _CALLED_WRONGLY, place) for name in _own(step)]
    if steps:
        last = len(steps) - 1
        found += [Suspicion(name, "the last step", _LAST_STEP, last) for name in _own(steps[last])]
    seen = {one.prompt for one in found}
    for place, step in enumerate(steps):
        for name in step.prompts:
            if name not in seen:
                seen.add(name)
                found.append(Suspicion(name, "in use", _IN_USE, place))
    strongest = dict[str, Suspicion]()
    for one in sorted(found, key=lambda one: -one.weight):
        if one.prompt in trainable:
            strongest.setdefault(one.prompt, one)
    return list(strongest.values())


def _of_failed_call(call: ToolCall, place: int, step: Step, after: Step | None) -> list[Suspicion]:
    said = (call.error or "")[:80]
    why = f"it had the tool {call.name} called wrongly: {said}"
    names = [*(n for n in step.prompts if n == TOOL_PREFIX + call.name), *_own(step)]
    found = [Suspicion(name, why, _CALLED_WRONGLY, place) for name in names]
    if after is not None:
        why = f"it went on after the error of {call.name}: {said}"
        found += [Suspicion(name, why, _ERROR_IGNORED, place + 1) for name in _own(after)]
    return found


def _own(step: Step) -> list[str]:
    """A step's prompts without the descriptions of tools, which are in every call."""
    return [name for name in step.prompts if not name.startswith(TOOL_PREFIX)]


def _is_mended(call: ToolCall, after: Step | None) -> bool:
    calls = () if after is None else after.tool_calls
    return any(again.name == call.name and again.error is None for again in calls)


def shown_steps(steps: Sequence[Step], blamed: Suspicion | None = None) -> str:
    """The steps as an optimizer's model reads them; empty where a single answer is all there is."""
    if len(steps) < 2 and not any(step.tool_calls for step in steps):
        return ""
    lines = list[str]()
    for place, step in enumerate(steps[:_MOST_STEPS]):
        names = ", ".join(step.prompts) or "no prompt of yours"
        lines.append(f"step {place + 1} ({names}): {_clip(step.said) or '(no text)'}")
        for call in step.tool_calls:
            given = _clip(json.dumps(call.arguments, ensure_ascii=False, default=str))
            back = f"failed: {call.error}" if call.error is not None else str(call.result)
            lines.append(f"  {call.name}({given}) -> {_clip(back)}")
        if step.error is not None:
            lines.append(f"  the call failed: {_clip(step.error)}")
        if blamed is not None and blamed.step == place:
            lines.append(f"  ^ here {blamed.prompt!r} is to blame most likely: {blamed.why}")
    if len(steps) > _MOST_STEPS:
        lines.append(f"({len(steps) - _MOST_STEPS} steps more)")
    return "\n".join(lines)


def _clip(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _MOST_CHARS else f"{plain[:_MOST_CHARS]}…"
