"""Prefect tasks: one step or side effect each."""

if __name__ != "cornerman.tasks":
    raise ImportError("This folder is the package cornerman.tasks; import it by that name.")

from cornerman.settings.load import keep_prefect_silent

keep_prefect_silent()
