"""Cornerman: LLM agents that train themselves on a schedule, on a budget."""
