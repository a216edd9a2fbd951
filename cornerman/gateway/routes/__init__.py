"""One router per subject."""

from fastapi import APIRouter

from cornerman.gateway.routes import (
    admin,
    battles,
    breakthroughs,
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
    runs.router,
    cron.router,
    kill_switch.router,
    datasets.router,
    battles.router,
    breakthroughs.router,
    monitor.router,
    starts.router,
    admin.router,
    admin.front,
    health.router,
)

__all__ = ["ROUTERS"]
