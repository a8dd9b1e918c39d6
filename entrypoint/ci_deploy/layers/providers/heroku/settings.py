"""Heroku's settings, and a small class that is loaded in place of the layer until it is known that
the layer takes part (`layers.load`)."""

from __future__ import annotations

from typing import Any, ClassVar

from ci_deploy.layers.providers.base import Provider
from ci_deploy.layers.providers.methods import GitSettings
from ci_deploy.settings import setting, settings
from ci_deploy.settings.parsers import words

API = "https://api.heroku.com"
DATA = "https://api.data.heroku.com"

# The CLI sends the key to these hosts only; for any other host it uses heroku.com.
HOSTS = r"https://([a-z0-9-]+\.)*hero(ku|kai|kuspace|kudev)\.com|https?://(localhost|127\.0\.0\.1)"
URL = rf"({HOSTS})(:\d+)?/?"
NAME = r"[a-z][a-z0-9-]{1,28}[a-z0-9]"
NAMES = "3 to 30 lower-case letters, digits and dashes, a letter first, no dash at the end"


@settings
class HerokuSettings(GitSettings):
    """Settings of Heroku and of the app on it."""

    key: str = setting(
        "HEROKU_API_KEY", "API key that may deploy the app", secret=True, pattern=r"[!#-&(-~]{8,}"
    )
    team: str = setting(
        "HEROKU_TEAM",
        "The team in which apps are created",
        default="",
        default_help="the base app's for review apps, else none",
        pattern=r"[a-z0-9][a-z0-9-]*",
    )
    pipeline: str = setting(
        "HEROKU_PIPELINE",
        "The pipeline (name or id) for review apps and promotions",
        default="",
        default_help="the app's own",
        pattern=r"[A-Za-z0-9][\w-]*",
    )
    maintenance: bool = setting(
        "HEROKU_MAINTENANCE",
        "Turn maintenance mode on during the deployment; its previous state is restored afterwards",
        default=False,
    )
    create_app: bool = setting(
        "HEROKU_CREATE_APP", "Create the app when it does not exist", default=False
    )
    promote_from: str = setting(
        "HEROKU_PROMOTE_FROM",
        "The app whose release `promote` takes",
        default="",
        default_help="the app at the previous stage of the pipeline",
        pattern=NAME,
    )
    promote_to: tuple[str, ...] = setting(
        "HEROKU_PROMOTE_TO",
        "Other apps of the pipeline to promote the same release to",
        default=(),
        parse=words,
    )
    databases: tuple[str, ...] = setting(
        "HEROKU_BACKUP_DATABASES",
        "For BACKUP_BEFORE_MIGRATE: the config vars with the URLs of the databases to back up",
        default=("DATABASE_URL",),
        parse=words,
    )
    boot_timeout: int = setting(
        "HEROKU_BOOT_TIMEOUT", "Seconds to wait for all dynos of a release to be up", default=300
    )
    api: str = setting(
        "HEROKU_API_URL",
        "URL of the Platform API, for tests: on a host of Heroku or on this machine",
        default=API,
        pattern=URL,
        parse=lambda text: text.rstrip("/"),
    )
    data: str = setting(
        "HEROKU_DATA_URL",
        "URL of the Heroku Postgres API, for tests: on a host of Heroku or on this machine",
        default=DATA,
        pattern=URL,
        parse=lambda text: text.rstrip("/"),
    )
    git: str = setting(
        "HEROKU_GIT_URL",
        "URL of Heroku's git, for tests: on a host of Heroku or on this machine",
        default="https://git.heroku.com",
        pattern=URL,
        parse=lambda text: text.rstrip("/"),
    )


class AboutHeroku(Provider[HerokuSettings]):
    """The provider for Heroku, before its layer is loaded: its name, its settings, and the setting
    that activates it."""

    name = "heroku"
    loads = "ci_deploy.layers.providers.heroku.layer:Heroku"
    Settings: ClassVar[type[Any]] = HerokuSettings
    trigger = "HEROKU_API_KEY"
