"""Labels a customer's message: a pydantic-ai agent with a tool."""

from pydantic_ai import Agent

agent = Agent("openai-chat:gpt-4o-mini")


@agent.tool_plain
def look_up_account(message: str) -> str:
    """Look up the account of the customer who wrote a message."""
    return "The account is in good standing."
