"""Answers customers of a shop, with two tools: a loop by hand over plain openai."""

import json
import os

from openai import AsyncOpenAI

client = AsyncOpenAI()
MODEL = os.environ.get("AGENT_MODEL", "gpt-4o-mini")
NUMBER = {"type": "object", "properties": {"order_number": {"type": "string"}}}
TOOLS = {
    "look_up_order": "What an order holds, when it was placed, and where it is.",
    "open_trace": "Have the carrier look for an order's parcel.",
}
OFFERED = [
    {"type": "function", "function": {"name": name, "description": said, "parameters": NUMBER}}
    for name, said in TOOLS.items()
]


def use(name, arguments):
    """What the shop's own systems say."""
    number = json.loads(arguments).get("order_number", "")
    if not number.removeprefix("LK-").isdecimal():
        return f"Error: {number[:40]!r} is no order number; they look like LK-48213."
    if name == "open_trace":
        return f"A trace for {number} is open; the carrier answers within two days."
    return f"{number}: one floor lamp, placed nine days ago, with the carrier since Monday."


async def agent(inputs, prompts, context):
    """Ask the model; call the tools that it asks for until it answers."""
    talk = [{"role": "system", "content": f"{prompts['system']}\n\n{context.situation}"}]
    talk += inputs["messages"]
    while True:
        said = await client.chat.completions.create(
            model=MODEL, messages=talk, tools=OFFERED, max_tokens=300
        )
        message = said.choices[0].message
        if not message.tool_calls:
            return message.content
        talk.append(message.model_dump(exclude_none=True))
        for call in message.tool_calls:
            result = use(call.function.name, call.function.arguments)
            talk.append({"role": "tool", "tool_call_id": call.id, "content": result})
