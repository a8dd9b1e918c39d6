"""Settings: `setting` declares one as a field of a `@settings` class, `load` makes an instance of
such a class from the inputs, variables and files of a `Source` (sources.py)."""

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
