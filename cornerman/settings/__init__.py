"""The only reader of the environment: every setting, where it came from and what is wrong."""

from cornerman.settings.database import DatabaseTarget
from cornerman.settings.explain import SettingReport, explain
from cornerman.settings.load import (
    InvalidSettingsError,
    child_environment,
    get_settings,
    load_settings,
    reset_settings,
    use_settings,
    worker_lock,
)
from cornerman.settings.model import Settings
from cornerman.settings.secrets import resolve_references
from cornerman.settings.values import module_allowed

__all__ = [
    "DatabaseTarget",
    "InvalidSettingsError",
    "SettingReport",
    "Settings",
    "child_environment",
    "explain",
    "get_settings",
    "load_settings",
    "module_allowed",
    "reset_settings",
    "resolve_references",
    "use_settings",
    "worker_lock",
]
