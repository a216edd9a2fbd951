"""One router per subject."""

from fastapi import APIRouter

from cornerman.gateway.routes import (
    admin,
    battles,
    checkpoints,
    cron,
    datasets,
    health,
    kill_switch,
    monitor,
    runs,
    starts,
)

ROUTERS: tuple[APIRouter, ...] = (
    checkpoints.router,
    checkpoints.live,
    runs.router,
    cron.router,
    kill_switch.router,
    datasets.router,
    battles.battles,
    battles.findings,
    monitor.router,
    starts.router,
    admin.router,
    admin.front,
    health.router,
)

__all__ = ["ROUTERS"]
