"""Prefect tasks: one step or side effect each."""

if __name__ != "cornerman.tasks":
    raise ImportError("This folder is the package cornerman.tasks; import it by that name.")
