"""Work pool, deployments, limits and the processes of a machine: how Cornerman is kept running."""

if __name__ != "cornerman.deployments":
    raise ImportError("This folder is the package cornerman.deployments; import it by that name.")

from cornerman.settings.load import keep_prefect_silent

keep_prefect_silent()
