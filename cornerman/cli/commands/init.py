"""`cornerman init`: a folder with an agent, a spec that trains and a workflow that fights."""

from __future__ import annotations

import importlib.util
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer
import yaml

from cornerman.cli.output import Out
from cornerman.cli.store import JsonOption
from cornerman.domain.errors import BadInputError

# By what `--agent` names: the example's file, the packages that it needs, and their modules.
AGENTS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "openai": ("openai_agent.py", "openai", ("openai",)),
    "langgraph": ("langgraph_agent.py", "langchain langchain-openai", ("langchain", "langgraph")),
    "pydantic-ai": ("pydantic_ai_agent.py", "'pydantic-ai-slim[openai]'", ("pydantic_ai",)),
    "openai-agents": ("openai_agents_agent.py", "openai-agents", ("agents",)),
    "dspy": ("dspy_agent.py", "dspy", ("dspy",)),
    "anthropic": ("anthropic_agent.py", "anthropic", ("anthropic",)),
    "http": ("http_agent.py", "openai", ("openai",)),
}
_CASES = 40
_MODULE = "my_agent"
_PORT = 8080


def init(
    folder: Annotated[Path, typer.Argument(help="Made if it is not there.")] = Path("my-agent"),
    agent: Annotated[
        str, typer.Option("--agent", "-a", help=", ".join(AGENTS), metavar="FRAMEWORK")
    ] = "openai",
    json: JsonOption = False,
) -> None:
    """Write an agent, its cases, a spec and a workflow; nothing that is there is touched."""
    out = Out(json)
    if agent not in AGENTS:
        raise BadInputError(
            f"--agent is {agent!r}; it must be one of {', '.join(AGENTS)}.", field="agent"
        )
    written = _texts(agent)
    there = [name for name in written if (folder / name).exists()]
    if there:
        raise BadInputError(
            f"{folder}: {', '.join(there)} are there already, and are left as they are.",
            field="folder",
            hint="Name another folder: cornerman init FOLDER",
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in written.items():
        (folder / name).write_text(text, encoding="utf-8")
    _, packages, modules = AGENTS[agent]
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    steps = [f"pip install {packages}"] if missing else []
    steps.append(f"cd {folder}")
    if agent == "http":
        steps.append(f"python {_MODULE}.py {_PORT} &")
    steps += ["cornerman train spec.yaml", "cornerman battle --workflow workflow.yaml"]
    steps += ["cornerman train workflow.yaml"]
    out.document({"folder": str(folder), "agent": agent, "files": list(written), "next": steps})
    out.say(f"Wrote {', '.join(written)} into {folder}.", style="bold")
    out.say("Next:")
    for step in steps:
        out.say(f"  {step}")


def _texts(agent: str) -> dict[str, str]:
    examples = files("cornerman.examples")
    source, _, _ = AGENTS[agent]
    cases = examples.joinpath("triage.jsonl").read_text(encoding="utf-8").splitlines()[:_CASES]
    return {
        f"{_MODULE}.py": examples.joinpath(f"agents/{source}").read_text(encoding="utf-8"),
        "cases.jsonl": "\n".join(cases) + "\n",
        "spec.yaml": _SPEC.format(agent=f"graph_config: {_AT[agent == 'http']}"),
        "workflow.yaml": _workflow(_AT[agent == "http"]),
        ".env": f"# Modules whose code may be run as agents and evaluators.\n"
        f"EVALUATOR_MODULES={_MODULE}\n",
    }


_AT = {
    False: f'{{entrypoint: "{_MODULE}:agent"}}',
    True: f'{{http: {{url: "http://127.0.0.1:{_PORT}/"}}}}',
}
_WORKFLOW = """\
# cornerman battle --workflow workflow.yaml    sends the agent against these people
# cornerman train workflow.yaml                trains it on battles with them
# agent.stateful: true sends only what is new; evaluators: check tools and the final state.
"""
_PEOPLE = 5


def _workflow(agent: str) -> str:
    """The built-in support desk with the user's own agent, and its first people."""
    from cornerman.workflows import lent_workflow

    document = lent_workflow(
        "support",
        workflow_id="my-agent-talks",
        name="My agent at the support desk",
        agent=yaml.safe_load(agent),
        people=_PEOPLE,
    )
    optimizer = {"epochs": 3, "case_timeout_seconds": 300, "max_cost_usd": 0.5}
    document["training"] = {"battles_per_persona": 2, "optimizer": optimizer}
    return _WORKFLOW + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=98)


_SPEC = """\
# cornerman train spec.yaml
workflow_id: my-agent
{agent}
dataset:
  path: cases.jsonl
evaluators:
  - id: exact_match
    entrypoint: exact_match
    config: {{ignore_case: true}}
optimizer:
  epochs: 3
  max_cost_usd: 0.50
prompts:
  system:
    requires_grad: true
    text: >-
      Label the customer's message. The labels are: refund, cancel, delivery, billing, login, bug,
      complaint, other. Answer with the label alone.
"""
