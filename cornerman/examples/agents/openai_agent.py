"""Labels a customer's message: plain openai, a tool called by hand."""

from openai import AsyncOpenAI

client = AsyncOpenAI()


async def agent(inputs, prompts, context):
    """One chat completion with the trained prompt as system message."""
    answer = await client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[
            {"role": "system", "content": prompts["system"]},
            {"role": "user", "content": inputs["message"]},
        ],
    )
    return answer.choices[0].message.content
