"""Labels a customer's message: a LangGraph agent with a tool."""

from langchain.agents import create_agent


def look_up_account(message: str) -> str:
    """Look up the account of the customer who wrote a message."""
    return "The account is in good standing."


agent = create_agent("openai:gpt-4o-mini", tools=[look_up_account])
