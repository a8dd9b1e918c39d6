"""What Compose and Swarm derive from the settings in the same way: tag, variables, problems."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ci_deploy.errors import Problem, SettingsError
from ci_deploy.layers.providers.docker.env_file import unusable
from ci_deploy.layers.providers.docker.login import on_one_line
from ci_deploy.layers.providers.docker.settings import HostSettings
from ci_deploy.net.ssh.client import quoted
from ci_deploy.net.ssh.server import Server
from ci_deploy.run.context import Context
from ci_deploy.settings.parsers import suggestion


def image_tag(ctx: Context, settings: HostSettings) -> str:
    """The value of `${DEPLOY_TAG}`: DEPLOY_TAG, else the build number and the revision; empty if
    the CI does not provide those."""
    return settings.tag or ctx.facts.deploy_tag


def variables(settings: HostSettings, tag: str, registry: str) -> dict[str, str]:
    """The variables of the release (name → value), which override the .env and APP_CONFIG;
    DOCKER_REGISTRY only if `registry` is not empty."""
    env = settings.deploy_env
    found = {"DEPLOY_TAG": tag, "DEPLOY_ENV": env, "RAILS_ENV": env}
    return {**found, "DOCKER_REGISTRY": registry} if registry else found


def problems(ctx: Context, settings: HostSettings, *, deploys: bool) -> Iterator[Problem]:
    """Problems of the settings beyond their format. `deploys`: whether the command needs the tag of
    images from DEPLOY_TAG or the CI."""
    if any(not each.user for each in settings.servers):
        yield Problem("SERVER_USER", "is required to log in on the hosts.")
    if deploys and not image_tag(ctx, settings):
        reason = "this job has no build number, or no revision, to derive it from."
        yield Problem("DEPLOY_TAG", reason, "", "Set it to the tag of the images.")
    if bool(settings.registry_user) != bool(settings.registry_password):
        yield Problem("DOCKER_USER", "must be set together with DOCKER_PASS.")
    if "\n" in on_one_line(settings.registry_password):
        yield Problem("DOCKER_PASS", "must not contain a newline.")
    for setting, config in ctx.configured.items():
        if names := unusable(config):
            reason = f"Compose cannot set {', '.join(names)}: the value contains a NUL byte."
            yield Problem(setting, reason)


def no_folder(server: Server, path: str) -> SettingsError:
    """The error when `cd` to DEPLOY_PATH (`path`; empty: the user's home) fails on a host."""
    where, remedy = "home directory of the SSH user", "Set it to an existing directory."
    if path:
        where = f"directory {path}"
        remedy = f"Create it: {server.login} mkdir -p {quoted([quoted([path])])}"
    reason = f"there is no {where} on {server}, or the SSH user may not enter it."
    return SettingsError(Problem("DEPLOY_PATH", reason, "", remedy))


def mention(ctx: Context, settings: HostSettings) -> None:
    """Log that DOCKER_EMAIL has no effect, if it is set."""
    if settings.email:
        ctx.console.indent("DOCKER_EMAIL is ignored: Docker has not needed it since 17.06.")


def need_service(known: Sequence[str], name: str) -> None:
    """Raise SettingsError when `name` (COMPOSE_RUN_SERVICE), in which commands run, is not among
    `known`, the services in the compose files."""
    if name not in known:
        reason = f"there is no service `{name}`, only {', '.join(known)}."
        raise SettingsError(Problem("COMPOSE_RUN_SERVICE", reason, "", suggestion(name, known)))
