"""Labels a customer's message, or holds a talk: Anthropic's own client."""

from anthropic import AsyncAnthropic

client = AsyncAnthropic()


async def agent(inputs, prompts, context):
    """One message with the trained prompt as system prompt."""
    told = inputs.get("messages") or [{"role": "user", "content": inputs["message"]}]
    answer = await client.messages.create(
        model="claude-haiku-4-5",
        max_tokens=256,
        system=prompts["system"],
        messages=told,
    )
    return answer.content[0].text
