"""Settings: declared once, read from one place."""

from ci_deploy.settings.declaration import (
    REQUIRED,
    SECRET_CONFIG_KEY,
    SECRET_WORDS,
    Setting,
    declared,
    environ,
    setting,
    settings,
)
from ci_deploy.settings.sources import load

__all__ = [
    "REQUIRED",
    "SECRET_CONFIG_KEY",
    "SECRET_WORDS",
    "Setting",
    "declared",
    "environ",
    "load",
    "setting",
    "settings",
]
