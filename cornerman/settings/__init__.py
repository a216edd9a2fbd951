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
from cornerman.settings.prefect_key import (
    CLIENT_KEY,
    KEY_HINT,
    SERVER_KEY,
    SIGN_IN,
    ServedPrefect,
    adopt_key,
    keep_key,
    served_prefect,
)
from cornerman.settings.secrets import resolve_references
from cornerman.settings.values import module_allowed

__all__ = [
    "CLIENT_KEY",
    "KEY_HINT",
    "SERVER_KEY",
    "SIGN_IN",
    "DatabaseTarget",
    "InvalidSettingsError",
    "ServedPrefect",
    "SettingReport",
    "Settings",
    "adopt_key",
    "child_environment",
    "explain",
    "get_settings",
    "keep_key",
    "load_settings",
    "module_allowed",
    "reset_settings",
    "resolve_references",
    "served_prefect",
    "use_settings",
    "worker_lock",
]
