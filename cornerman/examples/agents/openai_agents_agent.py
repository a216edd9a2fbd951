"""Labels a customer's message: an agent of the OpenAI Agents SDK with a tool."""

from agents import Agent, function_tool


@function_tool
def look_up_account(message: str) -> str:
    """Look up the account of the customer who wrote a message."""
    return "The account is in good standing."


agent = Agent(name="Labeller", model="gpt-4o-mini", tools=[look_up_account])
