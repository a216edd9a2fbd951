"""Labels a customer's message, or holds a talk: plain openai."""

from openai import AsyncOpenAI

client = AsyncOpenAI()


async def agent(inputs, prompts, context):
    """One chat completion with the trained prompt as system message."""
    told = inputs.get("messages") or [{"role": "user", "content": inputs["message"]}]
    answer = await client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "system", "content": prompts["system"]}, *told],
    )
    return answer.choices[0].message.content
