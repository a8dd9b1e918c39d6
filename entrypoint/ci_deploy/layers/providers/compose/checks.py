"""Checks on every host before anything is changed, each with its remedy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

from ci_deploy.errors import DeployError, Problem, SettingsError, ToolMissing, Unauthorized
from ci_deploy.layers.providers.compose.hosts import Host
from ci_deploy.layers.providers.docker import variables as of_files
from ci_deploy.layers.providers.docker.model import Model
from ci_deploy.layers.providers.docker.start_first import unnamed_volume
from ci_deploy.layers.providers.docker.tree import Tree
from ci_deploy.run.context import Context
from ci_deploy.state import Live

NO_ENV = sha256(b"").hexdigest()[:16]  # what a host without a .env reports of it
INSTALL = "Install Docker Engine with its Compose plugin: https://docs.docker.com/engine/install/"


def check(ctx: Context, hosts: Sequence[Host], project: str, asked: str) -> None:
    """Check that all hosts can be used; warn about what may go wrong. Raises ToolMissing,
    Unauthorized or SettingsError for the first host that cannot be used.

    `project`: the Compose project of the app; `asked`: COMPOSE_PROJECT_NAME, if it is set.
    """
    for host in hosts:
        if error := trouble(host) or conflict(ctx, host, project, asked):
            raise error
        if host.facts.kills:
            ctx.console.warning(
                f"{host} has KillUserProcesses=yes in logind.conf: if the connection is "
                "lost, systemd ends the deployment too. The next run repairs that; set it to `no`."
            )
        if host.facts.unreported:
            ctx.console.warning(
                f"{host}: result of a previous run that was never reported: {host.facts.unreported}"
            )


def tell(ctx: Context, hosts: Sequence[Host], tree: Tree, variables: Iterable[str]) -> None:
    """Warn of variables of the compose files that have no value on a host. `variables`: the names
    that the release sets."""
    unset = {str(host): host.facts.unset for host in hosts}
    lacking = any(host.facts.env == NO_ENV for host in hosts)
    of_files.tell(ctx, tree, variables, unset, lacking=lacking)


def trouble(host: Host) -> DeployError | None:
    """The error when a host cannot be used: no Docker, no access to it, no Compose 2, a program is
    missing, or Compose does not accept the compose files. None if it can."""
    facts, where = host.facts, f"{host.server.user}@{host}"
    if not facts.docker:
        return ToolMissing(f"Docker is not installed on {host}.", hint=INSTALL)
    if facts.engine:
        said = facts.engine[0]
        if "permission denied" in said:
            message = f"{where} may not use Docker."
            hint = f"On {host}, as root: usermod -aG docker {host.server.user}"
            return Unauthorized(message, hint=hint)
        hint = f"Check it on {host}: `systemctl status docker`."
        return ToolMissing(f"Docker on {host} does not answer: {said}", hint=hint)
    if not facts.compose and not facts.model:
        old = f", only docker-compose {facts.standalone}" if facts.standalone else ""
        message = f"there is no `docker compose` (version 2 or newer) on {host}{old}."
        return ToolMissing(message, hint=INSTALL)
    if facts.compose and _major(facts.compose) < 2:
        return ToolMissing(
            f"Compose {facts.compose} on {host} is too old: version 2 or newer is required.",
            hint=INSTALL,
        )
    if facts.missing:
        message = f"{', '.join(facts.missing)} cannot be found on {host}."
        hint = (
            "Install what is missing: flock and setsid are in the package util-linux, sha256sum in "
            "coreutils; awk, sed and tar in packages of these names."
        )
        return ToolMissing(message, hint=hint)
    if facts.refused:
        reason = f"Compose on {host} does not accept it: {facts.refused[-1].rstrip('.')}."
        remedy = of_files.advice(reason, facts)
        return SettingsError(Problem("COMPOSE_FILE", reason, "", remedy))
    return None


def conflict(ctx: Context, host: Host, project: str, asked: str) -> DeployError | None:
    """The error when the project's name belongs to another app or directory, or is not the one of
    this app's present containers (unless COMPOSE_PROJECT_NAME, `asked`, is set); else None."""
    facts, name = host.facts, "COMPOSE_PROJECT_NAME"
    for app, other in facts.apps.items():
        if other == project and app != ctx.app:
            reason = f"the project `{project}` on {host} belongs to the app `{app}`."
            return SettingsError(
                Problem(
                    name, reason, "", "Give each app its own DEPLOY_PATH or COMPOSE_PROJECT_NAME."
                )
            )
    theirs = [e for e in facts.containers if e.project == project and e.folder not in facts.here]
    if other := next((each.folder for each in theirs if each.folder), ""):
        reason = (
            f"the project `{project}` on {host} belongs to another directory: "
            f"{theirs[0].name} was started in {other}. A deployment to {facts.path} would "
            "replace its containers and use its volumes."
        )
        return SettingsError(
            Problem(name, reason, "", "Set another name, or deploy to that directory.")
        )
    known = facts.apps.get(ctx.app)
    if not known:  # started by hand until now?
        here = [each for each in facts.containers if each.folder in facts.here]
        names = {each.project for each in here}
        known = next(iter(names)) if names and project not in names else None
    if known and known != project and not asked:
        reason = (
            f"the containers in {facts.path} on {host} belong to the project `{known}`, "
            f"but Compose would now use `{project}`, with new and empty volumes."
        )
        remedy = f"Set {name}={known}, or {name}={project} if that is wanted."
        return SettingsError(Problem(name, reason, "", remedy))
    return None


def externals(hosts: Sequence[Host], wanted: Model) -> None:
    """Raise SettingsError for external networks and volumes that do not exist, and for volumes of
    images that prevent start-first."""
    check_image_volumes(hosts, wanted)
    problems = [
        Problem(
            "COMPOSE_FILE",
            f"the {kind} `{each}` is external, but does not exist on {host}.",
            "",
            f"On {host}: docker {kind} create {each}",
        )
        for host in hosts
        for kind, names, there in (
            ("network", wanted.networks, host.facts.networks),
            ("volume", wanted.volumes, host.facts.volumes),
        )
        for each in names
        if each not in there
    ]
    if problems:
        raise SettingsError(*problems)


def together(hosts: Sequence[Host], app: str) -> Live:
    """What is live on all hosts: the first one's revision and release; up only when all run that
    release and are up. Its `detail` names the hosts of which that is not true."""
    states = [host.facts.live(app) for host in hosts]
    first = states[0]
    if len(hosts) == 1:
        return first
    same = all(state.release == first.release for state in states)
    parts = [
        f"{host} {state.revision[:7] or 'nothing'}: {state.detail}"
        for host, state in zip(hosts, states, strict=True)
        if not (same and state.up)
    ]
    detail = "; ".join(parts) or f"{len(hosts)} hosts, all containers up"
    return Live(
        first.revision,
        same and all(state.up for state in states),
        first.release,
        detail=detail,
        busy=any(state.busy for state in states),
    )


def summary(hosts: Iterable[Host]) -> dict[str, str]:
    """The facts that `doctor` shows: `host NAME` → Compose's version, DEPLOY_PATH, who holds the
    lock, and an unfinished release."""
    return {
        f"host {host}": f"Compose {host.facts.compose}, in {host.facts.path}"
        + (f", locked: {host.facts.holder}" if host.facts.holder else "")
        + (", unfinished: " + host.facts.pending.split()[0] if host.facts.pending else "")
        for host in hosts
    }


def _major(version: str) -> int:
    head = version.removeprefix("v").split(".")[0]
    return int(head) if head.isdecimal() else 0


def check_image_volumes(hosts: Sequence[Host], model: Model) -> None:
    """Raise SettingsError for volumes in the images of running containers that the compose files
    do not name, of services with start-first: the new containers would start with empty ones."""
    problems = {
        (name, path): unnamed_volume(name, path)
        for host in hosts
        for each in host.facts.containers
        if each.project == model.project and not each.one_off
        for name, service in model.services.items()
        if name == each.service and service.update
        for path in host.facts.image_volumes.get(each.image, ())
        if path not in service.mounts
    }
    if problems:
        raise SettingsError(*problems.values())
