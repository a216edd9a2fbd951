"""One turn of an agent of the user's own in a battle: what it is told, and what it made of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from cornerman.domain.aio import Deadline, TimeUpError, within
from cornerman.domain.battles import ToolCall, Turn
from cornerman.domain.battles.conversation import agent_situation, told_messages
from cornerman.domain.battles.replies import read_reply, tool_calls_of
from cornerman.domain.errors import CornermanError
from cornerman.domain.json_values import as_json
from cornerman.domain.secrets import redact, redact_json
from cornerman.domain.traces import CallTrace
from cornerman.tasks.agent import Agent, AgentContext, PromptsGiven, isolated, prompts_for_agent
from cornerman.tasks.battle_calls import Stage

_MOST_STATE_CHARS = 64 * 1024


class LateTurnError(CornermanError):
    """The agent's time for a turn was up."""

    code = "late_turn"


class ForgottenTalkError(CornermanError):
    """What the agent remembered of a conversation is gone with its process."""

    code = "forgotten_talk"


@dataclass(frozen=True)
class OwnTurn:
    """What the agent said and did.

    Args:
        text: Empty when it said nothing.
        state: What else it returned, where it returned a state.
        prompts_read: Names of the prompts that it asked for.
    """

    text: str
    tool_calls: tuple[ToolCall, ...]
    state: dict[str, Any] | None
    prompts_read: frozenset[str]


async def take_turn(
    agent: Agent,
    stage: Stage,
    turns: Sequence[Turn],
    context: AgentContext,
    *,
    heard: Callable[[], list[CallTrace]] | None,
    deadline: Deadline,
) -> OwnTurn:
    """Have the agent say its next line.

    Args:
        context: Its own for this turn; see `situated`.
        heard: What its metered calls said since the last asking.

    Raises:
        LateTurnError: It did not answer in time; what it left running is not waited for.
        BadReplyError: What it returned is nothing that it could have said.
        Exception: Whatever it raised.
    """
    if heard is not None:
        heard()
    prompts = prompts_for_agent(stage.prompts)
    inputs = isolated(battle_inputs(stage, turns, context.thread_id))
    try:
        returned = await within(deadline, _asked(agent, inputs, prompts, context))
    except TimeUpError:
        limit = stage.workflow.turn_timeout_seconds
        raise LateTurnError(
            f"The agent gave no answer within turn_timeout_seconds of {limit:g}."
        ) from None
    reply = read_reply(returned)
    calls = reply.tool_calls
    if not calls and heard is not None:
        calls = tool_calls_of(heard())
    return OwnTurn(
        redact(reply.text),
        tuple(ToolCall.model_validate(redact_json(call.model_dump())) for call in calls or ()),
        _state(returned),
        frozenset(prompts.read),
    )


async def _asked(
    agent: Agent, inputs: dict[str, Any], prompts: PromptsGiven, context: AgentContext
) -> Any:
    return await agent(inputs, prompts, context)


def battle_inputs(stage: Stage, turns: Sequence[Turn], thread_id: str) -> dict[str, Any]:
    """`{"messages", "thread_id", "scenario", "role", "goal"}`, as the agent sees the battle."""
    stateful = stage.workflow.agent is not None and stage.workflow.agent.stateful
    scenario, limit = stage.scenario, stage.limits.prompt_chars
    return {
        "messages": told_messages(turns, limit=limit, new_only=stateful),
        "thread_id": thread_id,
        "scenario": scenario.description,
        "role": scenario.agent_role,
        "goal": scenario.agent_goal,
    }


def situated(context: AgentContext, stage: Stage, turns: Sequence[Turn]) -> AgentContext:
    """The agent's context with where it stands in the battle; changes it."""
    context.turn = sum(turn.speaker == "agent" for turn in turns)
    context.situation = agent_situation(stage.scenario)
    context.timeout_seconds = stage.workflow.turn_timeout_seconds
    return context


def require_remembered(stage: Stage, turns: Sequence[Turn]) -> None:
    """Refuse to go on with a talk of which this process's agent knows nothing.

    Args:
        turns: Those that another process held.

    Raises:
        ForgottenTalkError: The agent keeps the talk itself, in the process that died.
    """
    agent = stage.workflow.agent
    if agent is None or not agent.stateful or agent.entrypoint is None:
        return
    if any(turn.speaker == "agent" for turn in turns):
        raise ForgottenTalkError(
            "The process that held this talk ended, and what the agent (stateful: true) remembered "
            "of it ended with it.",
            hint="Start another batch, or let the agent be sent the whole talk: stateful: false.",
        )


def _state(returned: Any) -> dict[str, Any] | None:
    """What a state holds beside its messages; None when it is nothing, or too much to keep."""
    if not isinstance(returned, Mapping) or "messages" not in returned:
        return None
    held = cast("Mapping[str, Any]", returned)
    rest = {str(name): as_json(value) for name, value in held.items() if name != "messages"}
    state = cast("dict[str, Any]", redact_json(rest))
    if not state or len(json.dumps(state, ensure_ascii=False)) > _MOST_STATE_CHARS:
        return None
    return state
