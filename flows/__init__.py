"""Prefect flows: order, fan-out and failure policy."""
