"""Prefect tasks: one step or side effect each."""
