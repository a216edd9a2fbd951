"""Work pool, deployments, limits and the processes of a machine: how Cornerman is kept running."""
