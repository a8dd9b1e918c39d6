"""`apps:*` (docs deployment/application-management.md)."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING

from . import versions
from .model import App
from .output import fail, report
from .parsing import parse, parse_report
from .registry import SERVICE_PLUGINS, command

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .host import Host

# The user's own git configuration has no say on a server.
NO_GIT_CONFIG = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
NO_APPS = "You haven't deployed any applications yet"


def run_git(*arguments: str) -> int:
    """Run git on this connection's streams; unlike `subprocess` this needs no import."""
    return os.waitstatus_to_exitcode(os.waitpid(start_git(*arguments), 0)[1])


def start_git(*arguments: str, **more: str) -> int:
    """Start git on this connection's streams, with more in its environment; its process id."""
    environ = {**os.environ, **NO_GIT_CONFIG, **more}
    return os.spawnvpe(os.P_NOWAIT, "git", ["git", *arguments], environ)


def init_repo(path: Path) -> None:
    """Make the app's bare repository; its HEAD is `master`, whatever branch will be deployed."""
    run_git("init", "--quiet", "--bare", "--template=", "--initial-branch=master", str(path))


def create_app(host: Host, name: str) -> bool:
    """Create an app with the domains that the global ones give it; False when it exists."""
    suffixes = host.store.globals().domains
    domains = [name] if suffixes and "." in name else [f"{name}.{suffix}" for suffix in suffixes]
    return host.store.create_app(App(name, int(time.time()), domains=domains), init_repo)


def maybe_create(host: Host, name: str) -> None:
    """Create an unknown app silently on any git contact, unless that is disabled."""
    host.check_name(name)
    if host.store.app(name):
        return
    if host.store.globals().properties.get("apps.disable-autocreation") == "true":
        host.console.warn("App auto-creation disabled.")
        fail(f"Re-enable app auto-creation or create an app with 'dokku apps:create {name}'")
    create_app(host, name)


@command("apps:create")
def create(host: Host, words: Sequence[str]) -> None:
    """Create an app."""
    name = parse(words)[0][0] if words else ""
    host.check_name(name)
    if host.store.app(name):
        fail("Name is already taken")
    host.console.info1(f"Creating {name}...")
    if not create_app(host, name):
        fail("Name is already taken")


@command("apps:exists")
def exists(host: Host, words: Sequence[str]) -> None:
    """Succeed silently for an app that exists."""
    host.first_app(words)


@command("apps", "apps:list")
def list_apps(host: Host, words: Sequence[str]) -> None:
    """Print all names."""
    _, options = parse(words, values=["--format"])
    names = host.store.app_names()
    if options.get("--format") == "json":
        host.console.plain(json.dumps(names, separators=(",", ":")))
        return
    host.console.header("My Apps")
    if not names:
        host.console.warn(NO_APPS)
    for name in names:
        host.console.plain(name)


@command("apps:destroy")
def destroy(host: Host, words: Sequence[str]) -> None:
    """Remove an app, its processes and its links; its services stay."""
    app = host.first_app(parse(words)[0])
    if not host.force:
        confirm(host, app.name, "app")
    host.console.info1(f"Destroying {app.name} (including all add-ons)")
    for kind in SERVICE_PLUGINS:
        for service in host.store.services(kind):
            if app.name in service.links:
                with host.store.edit_service(service) as change:
                    change.links.remove(app.name)
    from . import processes  # takes long to import, and only this command needs it

    running = [*app.processes, *([app.front] if app.front else [])]
    processes.stop(running, host.settings.stop_timeout)
    host.store.remove_app(app.name)
    host.console.info1("Cleaning up...")


def confirm(host: Host, name: str, kind: str) -> None:
    """Ask for the name, as Dokku does without `--force`; without a terminal nobody answers."""
    host.console.warn("WARNING: Potentially Destructive Action")
    host.console.warn(f"This command will destroy {kind} {name}.")
    host.console.warn(f'To proceed, type "{name}"')
    if sys.stdin.readline().strip() != name:
        fail("Confirmation did not match test. Aborted.")


@command("apps:clone")
def clone(host: Host, words: Sequence[str]) -> None:
    """Copy an app: config with its database addresses, links, repository and properties.

    That is also what `apps:report` says was deployed, and the mark that the seeding
    `scripts.postdeploy` ran; not domains and certificates.
    """
    names, options = parse(words, flags=["--skip-deploy", "--ignore-existing"])
    old, new = host.first_app(names), names[1] if len(names) > 1 else ""
    host.check_name(new)
    if host.store.app(new):
        if not options.flag("--ignore-existing"):
            fail("Name is already taken")
        host.console.warn("Name is already taken")
        return
    host.console.info1(f"Cloning {old.name} to {new}")
    create_app(host, new)
    _copy_repo(host, old.name, new)
    with host.store.edit_app(new) as copy:
        copy.config, copy.properties, copy.scale = old.config, old.properties, old.scale
        copy.can_scale, copy.seeded = old.can_scale, old.seeded
    for kind in SERVICE_PLUGINS:
        for service in host.store.services(kind):
            if old.name in service.links:
                with host.store.edit_service(service) as change:
                    change.links.append(new)
    if old.live and not options.flag("--skip-deploy"):
        from . import ps  # takes long to import as well

        ps.rebuild(host, [new])


def _copy_repo(host: Host, old: str, new: str) -> None:
    source, target = host.store.repo(old), host.store.repo(new)
    run_git("--git-dir", str(target), "fetch", "--quiet", str(source), "refs/*:refs/*")


@command("apps:lock")
def lock(host: Host, words: Sequence[str]) -> None:
    """Create the lock file; this does not keep deploys away."""
    host.store.deploy_lock(host.first_app(words).name).touch()
    host.console.info1("Deploy lock created")


@command("apps:locked")
def locked(host: Host, words: Sequence[str]) -> None:
    """Tell whether the lock file exists; it may be stale."""
    if not host.store.deploy_lock(host.first_app(words).name).exists():
        fail("Deploy lock does not exist")
    host.console.plain("Deploy lock exists")


@command("apps:unlock")
def unlock(host: Host, words: Sequence[str]) -> None:
    """Delete the lock file, even while a deploy runs: a second one may start then."""
    path = host.store.deploy_lock(host.first_app(words).name)
    if not path.exists():
        fail("Unable to remove deploy lock")
    host.console.warn("A deploy may be in progress.")
    host.console.warn("Removing the app lock will not stop in progress deploys.")
    path.unlink(missing_ok=True)
    host.console.info1("Deploy lock removed")


@command("apps:report")
def apps_report(host: Host, words: Sequence[str]) -> None:
    """Print what Dokku knows about apps."""
    name, flag, as_json = parse_report(words)
    for app in [host.app(name)] if name else map(host.app, host.store.app_names()):
        source = app.properties if host.since(versions.DEPLOY_SOURCE) else {}
        values = {
            "--app-created-at": str(app.created_at),
            "--app-deploy-source": source.get("apps.deploy-source", ""),
            "--app-deploy-source-metadata": source.get("apps.deploy-source-metadata", ""),
            "--app-dir": f"/home/dokku/{app.name}",
            "--app-locked": str(host.store.deploy_lock(app.name).exists()).lower(),
        }
        trim = host.since(versions.TRIMMED_REPORT_KEYS)
        report(host.console, "app", app.name, values, flag=flag, as_json=as_json, trim=trim)
