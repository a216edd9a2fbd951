"""Prefect flows: order, fan-out and failure policy."""

if __name__ != "cornerman.flows":
    raise ImportError("This folder is the package cornerman.flows; import it by that name.")

from cornerman.settings.load import keep_prefect_silent

keep_prefect_silent()
