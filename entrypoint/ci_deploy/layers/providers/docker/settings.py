"""Settings for Docker hosts and compose files."""

from __future__ import annotations

from ci_deploy.layers.providers.methods import PromotionSettings, folder
from ci_deploy.net.ssh.client import SshSettings
from ci_deploy.net.ssh.server import Server, server
from ci_deploy.settings import setting, settings
from ci_deploy.settings.parsers import words

# The first of these that exists is the default: for production, then in the order of Compose.
FOR_PRODUCTION = (
    "docker-compose.production.yml",
    "compose.production.yaml",
    "docker-compose.production.yaml",
    "compose.production.yml",
)
DEFAULT_FILES = (
    *FOR_PRODUCTION,
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
)


def hosts(text: str) -> tuple[str, ...]:
    """Split a list of `[user@]host[:port]`, and check each. Raises ValueError for anything else,
    and for one that is listed twice."""
    found = words(text)
    for each in found:
        server(each)
        if found.count(each) > 1:
            message = f"lists `{each}` twice."
            raise ValueError(message)
    return found


def paths(text: str) -> tuple[str, ...]:
    """Split a list of paths inside the repository; `./` at their start is removed. Raises
    ValueError for an absolute path, and for one with `..` or a dash at its start."""
    found = words(text)
    for each in found:
        if each.startswith(("/", "-")) or ".." in each.split("/"):
            message = f"`{each}` is not a path inside the repository."
            raise ValueError(message)
    return tuple(each.removeprefix("./") for each in found)


@settings
class HostSettings(SshSettings, PromotionSettings):
    """Settings of Docker hosts, for Compose and Swarm."""

    hosts: tuple[str, ...] = setting(
        "SERVER_HOST",
        "The Docker host, or several: `[user@]host[:port]`",
        example="deploy@www.example.com",
        parse=hosts,
    )
    port: int = setting("SERVER_PORT", "SSH port of the hosts", default=22)
    user: str = setting(
        "SERVER_USER",
        "SSH user on the hosts; must have access to Docker",
        default="",
        default_help="the one in SERVER_HOST",
        pattern=r"[A-Za-z0-9_][A-Za-z0-9_.-]*",
    )
    path: str = setting(
        "DEPLOY_PATH",
        "The app's directory on the hosts: it may hold your own `.env`, and relative "
        "paths in the compose files start there",
        default="",
        default_help="the SSH user's home directory",
        parse=folder,
    )
    tag: str = setting(
        "DEPLOY_TAG",
        "The tag of the images to deploy, `${DEPLOY_TAG}` in the compose files",
        default="",
        default_help="`<build number>_<first seven of the sha>`, what `ci-deploy tag` prints",
        pattern=r"\w[\w.-]{0,127}",
    )
    deploy_env: str = setting(
        "DEPLOY_ENV",
        "`${RAILS_ENV}` and `${DEPLOY_ENV}` in the compose files, and `RAILS_ENV` of migrations "
        "and one-off commands",
        default="production",
        pattern=r"[\w.-]+",
    )
    files: tuple[str, ...] = setting(
        "COMPOSE_FILE",
        "The compose file in the repository, or several, of which the later ones override the "
        "earlier ones",
        default=(),
        default_help="the first that exists of " + ", ".join(f"`{name}`" for name in DEFAULT_FILES),
        parse=paths,
    )
    archives: tuple[str, ...] = setting(
        "DEPLOY_IMAGE_ARCHIVE",
        "One or several image archives from the previous job (`docker save`, OCI layout); "
        "they are sent to the hosts, so no registry is needed",
        default=(),
        default_help="images are pulled",
        parse=words,
        example="image.tar",
    )
    run_service: str = setting(
        "COMPOSE_RUN_SERVICE",
        "The service in which one-off commands and migrations run",
        default="app",
        pattern=r"[A-Za-z0-9][\w.-]*",
    )
    registry: str = setting(
        "DOCKER_REGISTRY",
        "The registry to log in to, like `registry.example.com`",
        default="",
        default_help="Docker Hub; on GitLab without DOCKER_USER the project's own registry",
        pattern=r"[A-Za-z0-9][\w.:/-]*",
    )
    registry_user: str = setting("DOCKER_USER", "User for the registry", default="")
    registry_password: str = setting(
        "DOCKER_PASS", "Password or token for the registry", default="", secret=True
    )
    email: str = setting(
        "DOCKER_EMAIL", "Ignored: Docker has not needed it since 17.06", default=""
    )
    health_timeout: int = setting(
        "COMPOSE_HEALTH_TIMEOUT",
        "Seconds to wait for all containers to become healthy; until then `unhealthy` is "
        "not a failure",
        default=0,
        default_help="computed from each healthcheck; `unhealthy` fails at once",
    )
    on_cancel: str = setting(
        "ON_CANCEL",
        "What happens on the server when the job is cancelled: `finish` the deployment, or "
        "`rollback`. With several Compose hosts it has no effect: a release that all hosts have "
        "verified stays, any other is rolled back",
        default="finish",
        choices=("finish", "rollback"),
    )

    backup_service: str = setting(
        "BACKUP_SERVICE",
        "The service with the database, for BACKUP_BEFORE_MIGRATE",
        default="",
        default_help="every service whose image is Postgres, MySQL or MariaDB",
        pattern=r"[A-Za-z0-9][\w.-]*",
    )
    review_limit: int = setting(
        "REVIEW_LIMIT",
        "Maximum number of review apps of the app on a host, or in a swarm",
        default=0,
        default_help="unlimited",
    )

    @property
    def servers(self) -> list[Server]:
        """The hosts; user and port in SERVER_HOST win over SERVER_USER and SERVER_PORT."""
        return [server(each, user=self.user, port=self.port) for each in self.hosts]
