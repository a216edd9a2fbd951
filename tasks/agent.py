"""The agent under training: one chat call, a callable or runnable by entrypoint, or an address."""

from __future__ import annotations

import copy
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from cornerman.clients.llm import LLM
from cornerman.domain.money.ledger import CallScope
from cornerman.domain.runs import case_thread
from cornerman.domain.traces import CallTrace
from cornerman.domain.training.candidates import Prompt, Prompts, as_text
from cornerman.settings import Settings

Messages = list[dict[str, Any]]


class PromptText(str):
    """A prompt as an agent gets it: its text, with the prompt's other fields as attributes."""

    prompt: Prompt

    def __new__(cls, prompt: Prompt) -> PromptText:
        made = super().__new__(cls, prompt.text)
        made.prompt = prompt
        return made

    def __getnewargs__(self) -> Any:
        # Copying and pickling make a str from its text, which would not do here.
        return (self.prompt,)

    def __getitem__(self, key: Any) -> Any:
        # `prompts["system"]["text"]` reads as it does in the request.
        if not isinstance(key, str):
            return super().__getitem__(key)
        return self.demos if key == "demos" else getattr(self.prompt, key)

    @property
    def text(self) -> str:
        return self.prompt.text

    @property
    def model(self) -> str | None:
        return self.prompt.model

    @property
    def model_kwargs(self) -> dict[str, Any]:
        return dict(self.prompt.model_kwargs)

    @property
    def metadata(self) -> dict[str, Any]:
        return dict(self.prompt.metadata)

    @property
    def demos(self) -> list[dict[str, Any]]:
        """The demonstrations, each `{"inputs", "output"}`."""
        return [demo.model_dump() for demo in self.prompt.demos]

    def messages(self, inputs: Mapping[str, Any]) -> Messages:
        """Chat messages: the filled prompt, its demonstrations, the inputs."""
        return chat_messages(self.prompt, inputs)


@dataclass(frozen=True)
class Calls:
    """What Cornerman's own agents make calls of several roles with, on the case's budget.

    Args:
        heard: What metered calls said since the last asking; None where none are metered.
    """

    llm: LLM
    scope: CallScope
    settings: Settings
    heard: Callable[[], list[CallTrace]] | None = None


@dataclass
class AgentContext:
    """What an agent may use besides its inputs and prompts.

    Args:
        chat: `await context.chat(messages, prompt=prompts["system"])` makes a call that is
            budgeted, booked in the ledger and retried; returns the answer's text.
        timeout_seconds: The case's time-out, which covers the agent and its evaluators.
        calls: For Cornerman's own agents.
        base_url: OpenAI's API on this run's meter, for clients made by hand and for other
            processes; clients that are made from the environment need not be told.
        api_key: The key for it, valid until the case ends; for Anthropic's too.
        anthropic_base_url: Anthropic's API on this run's meter.
        turn: In a battle, how many turns of this conversation the agent has had before this one.
        situation: In a battle, what the agent is told of it: scene, role, goal, how it ends.
    """

    run_id: str
    case_id: str
    candidate_id: str
    epoch: int
    chat: Callable[..., Awaitable[str]]
    timeout_seconds: float
    calls: Calls | None = None
    base_url: str = ""
    api_key: str = ""
    anthropic_base_url: str = ""
    turn: int = 0
    situation: str = ""

    @property
    def thread_id(self) -> str:
        """Names this case's conversation; an agent that keeps state keeps it under this."""
        return case_thread(self.run_id, self.candidate_id, self.case_id)


Agent = Callable[[dict[str, Any], dict[str, PromptText], AgentContext], Awaitable[Any]]

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def fill_prompt(text: str, inputs: Mapping[str, Any]) -> str:
    """Put inputs into a prompt's `{name}` places; other braces stay as they are."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        return as_text(inputs[name]) if name in inputs else match[0]

    return _PLACEHOLDER.sub(value, text)


def chat_messages(prompt: Prompt, inputs: Mapping[str, Any]) -> Messages:
    """The default agent's one call: system message, demonstrations, then the inputs.

    Inputs that are a conversation (`messages`) stay one; any others are one user message.
    """
    return [
        {"role": "system", "content": fill_prompt(prompt.text, inputs)},
        *demo_messages(prompt),
        *_asked(inputs),
    ]


def demo_messages(prompt: Prompt) -> Messages:
    """A prompt's demonstrations as turns: the inputs a user's, the output the assistant's."""
    turns: Messages = []
    for demo in prompt.demos:
        turns += _asked(demo.inputs)
        turns += copy.deepcopy(demo.messages)
        turns.append({"role": "assistant", "content": as_text(demo.output)})
    return turns


def _asked(inputs: Mapping[str, Any]) -> Messages:
    talk = talk_of(inputs) or [{"role": "user", "content": user_text(inputs)}]
    return [_spoken(message) for message in talk]


def talk_of(inputs: Mapping[str, Any]) -> Messages | None:
    """The conversation that inputs hold under `messages`; None when they hold none."""
    held = inputs.get("messages")
    if not isinstance(held, list):
        return None
    messages = cast("list[Any]", held)
    is_talk = all(isinstance(one, Mapping) and "content" in one for one in messages)
    return list(cast("Messages", messages)) if is_talk else None


def _spoken(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message as a call without tools takes it: what was called, and what came back, as text."""
    role, content = message.get("role"), message["content"]
    text = content if isinstance(content, str) else as_text(content)
    if calls := message.get("tool_calls"):
        text = f"{text}\n{as_text(calls)}".strip()
    if role in ("user", "assistant", "system"):
        return {"role": role, "content": text}
    return {"role": "user", "content": f"[{message.get('name') or role}] {text}"}


def user_text(inputs: Mapping[str, Any]) -> str:
    """A case's inputs as a user's message: the only one as it is, several as JSON."""
    return as_text(next(iter(inputs.values()))) if len(inputs) == 1 else as_text(dict(inputs))


def system_prompt(prompts: Mapping[str, PromptText]) -> PromptText | None:
    """The prompt that stands first: the one named `system`, else the first that is trained."""
    if "system" in prompts:
        return prompts["system"]
    trained = prompts.trained if isinstance(prompts, PromptsGiven) else []
    return prompts[trained[0]] if trained else None


async def chat_agent(
    inputs: dict[str, Any], prompts: dict[str, PromptText], context: AgentContext
) -> Any:
    """The agent of a request that names none: one chat call with the prompt named `system`."""
    system = prompts["system"]
    return await context.chat(chat_messages(system.prompt, inputs), prompt=system)


class PromptsGiven(dict[str, PromptText]):
    """The prompts of one case, which know whether the agent has read them."""

    def __init__(self, prompts: Mapping[str, PromptText]) -> None:
        super().__init__(prompts)
        self.read = set[str]()
        self.trained = [name for name, given in prompts.items() if given.prompt.requires_grad]

    def __getitem__(self, name: str) -> PromptText:
        found = super().__getitem__(name)
        self.read.add(name)
        return found

    def get(self, name: str, default: Any = None) -> Any:
        if name not in self:
            return default
        return self[name]

    def items(self) -> Any:
        self.read.update(self)
        return super().items()

    def values(self) -> Any:
        self.read.update(self)
        return super().values()


def prompts_for_agent(prompts: Prompts) -> PromptsGiven:
    """The candidate's prompts in the agent's form, made anew for each case."""
    return PromptsGiven(
        {name: PromptText(prompt.model_copy(deep=True)) for name, prompt in prompts.items()}
    )


def isolated(value: Any) -> Any:
    """A copy that a case may change without any other case seeing it."""
    return copy.deepcopy(value)
