"""How an app gets live, step by step as on a real Dokku: build, release tasks, processes, switch.

A release is a checked-out tree here, and a container is a process in a session of its own. The
old processes answer until the new ones passed their checks.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from . import checks, network, processes, tasks, versions
from .faults import strike
from .model import App, Process, Release
from .output import DokkuError, fail
from .procfile import apply_env

if TYPE_CHECKING:
    from collections.abc import Collection

    from .git import Source
    from .host import Host


def build_and_deploy(host: Host, name: str, source: Source) -> None:
    """Build a new release and bring it live."""
    release = build(host, name, source)
    release_and_deploy(host, name, release)


def build(host: Host, name: str, source: Source) -> Release:
    """Make a release; a failure leaves everything as it was."""
    with host.store.edit_app(name) as app:
        app.releases += 1
        number = app.releases
    directory = host.store.app_dir(name) / "releases" / str(number)
    host.console.info1("Cleaning up...")
    try:
        directory.mkdir()
        source.populate(directory)
        tree = build_dir(host, app, directory)
        compile_tree(host, app, tree)
    except DokkuError as error:
        shutil.rmtree(directory, ignore_errors=True)
        fail(f"{error.message}\nApp build failed", error.code)
    return Release(number, source.revision, str(tree))


def build_dir(host: Host, app: App, directory: Path) -> Path:
    """Return the part of the tree that is the app (docs deployment/builders/builder-management)."""
    name = host.property(app, "builder.build-dir").strip("/")
    if not (directory / name).is_dir():
        fail(f"Specified build-dir not found in sourcecode working directory: {name}")
    return directory / name


def compile_tree(host: Host, app: App, tree: Path) -> None:
    """Do what a buildpack does: nothing, but `bin/post_compile` runs if the tree has one."""
    docker = (tree / "Dockerfile").exists()
    host.console.info1(f"Building {app.name} from {'Dockerfile' if docker else 'herokuish'}")
    if host.since(versions.APP_JSON_ENV):
        added = apply_env(tasks.app_json(host, app, str(tree)), app.config)
        with host.store.edit_app(app.name) as change:
            change.config.update(added)
    with host.store.edit_app(app.name) as change:
        change.properties["builder.detected"] = "dockerfile" if docker else "herokuish"
    strike(host, "build", app=app.name)
    time.sleep(host.settings.build_seconds)
    hook = tree / "bin" / "post_compile"
    if hook.exists():
        host.console.info1("Running post-compile hook")
        run_hook(host, app, tree, hook)
    types = tasks.procfile(host, app, str(tree))
    if not types:
        fail("Unable to select a buildpack")
    host.console.info1("Discovering process types")
    host.console.verbose(f"Procfile declares types -> {', '.join(sorted(types))}")


def run_hook(host: Host, app: App, tree: Path, hook: Path) -> None:
    """Run the build's hook; its output arrives while it runs."""
    environ = tasks.environ(host, app, str(tree), "build.1")
    with subprocess.Popen(
        [hook],
        cwd=tree,
        env=environ,
        text=True,
        errors="surrogateescape",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as child:
        for line in child.stdout or ():
            host.console.verbose(line.rstrip("\n"))
    if child.returncode:
        fail(f"exit status {child.returncode}")


def release_and_deploy(host: Host, name: str, release: Release, only: Collection[str] = ()) -> None:
    """Run the release tasks and, unless `skip-deploy` is set, bring the release live."""
    app = host.app(name)
    host.console.info1(f"Releasing {name}...")
    tasks.run_release_tasks(host, app, release)
    with host.store.edit_app(name) as app:
        app.built = release
        set_scale(host, app, release)
    if skips_deploy(host, app):
        host.console.info1("Skipping deployment")
        return
    run_processes(host, app, release, only)
    tasks.run_task(
        host,
        app,
        release,
        "postdeploy",
        tasks.app_json(host, app, release.directory).postdeploy,
    )
    host.console.info2("Application deployed:")
    for url in network.urls(host, host.app(name)):
        host.console.verbose(url)
    host.console.plain()


def skips_deploy(host: Host, app: App) -> bool:
    """Tell whether the app is only built: a property since 0.38, a config variable before."""
    if host.since(versions.PROPERTY_SETTINGS):
        return host.property(app, "ps.skip-deploy") == "true"
    config = {**host.store.globals().config, **app.config}
    return config.get("DOKKU_SKIP_DEPLOY") == "true"


def set_scale(host: Host, app: App, release: Release) -> None:
    """Give new process types their count: `formation` in app.json, else one web, no others."""
    formation = tasks.app_json(host, app, release.directory).formation
    app.can_scale = not formation
    for name in tasks.procfile(host, app, release.directory):
        default = 0 if formation or name != "web" else 1
        app.scale.setdefault(name, default)
    app.scale.update(formation)


def run_processes(host: Host, app: App, release: Release, only: Collection[str]) -> None:
    """Start all processes: web, its checks, the switch, then the others."""
    host.console.info2("Processing deployment checks")
    host.console.info1(f"Deploying {app.name} via the docker-local scheduler...")
    commands = tasks.procfile(host, app, release.directory)
    types = sorted(commands, key=lambda each: (each != "web", each))
    for process_type in types if not only else [each for each in types if each in only]:
        count = 0 if app.env_broken else app.scale.get(process_type, 0)
        host.console.info1(f"Deploying {process_type} (count={count})")
        if checks.applies(app, checks.DISABLED, process_type):
            replace(host, app, process_type, [])
        new = start_all(host, app, release, (process_type, count), commands[process_type])
        replace(host, app, process_type, new, release)
    host.console.info1("Renaming containers")
    if not only:
        for process_type in {process.type for process in app.processes} - set(types):
            replace(host, app, process_type, [])
    host.console.info1("Running post-deploy")
    with host.store.edit_app(app.name) as change:
        change.live = release
        change.properties.pop("ps.restore", None)
        if not host.since(versions.PROPERTY_SETTINGS):
            change.config["DOKKU_APP_RESTORE"] = "1"
            change.config.setdefault("DOKKU_APP_TYPE", "herokuish")
    if "web" not in types:
        strike(host, "live", app=app.name)


def replace(
    host: Host,
    app: App,
    process_type: str,
    new: list[Process],
    release: Release | None = None,
) -> None:
    """Let new processes take the place of the app's current ones of a type."""
    with host.store.edit_app(app.name) as change:
        old = [process for process in change.processes if process.type == process_type]
        kept = [process for process in change.processes if process.type != process_type]
        change.processes = [*kept, *new]
        if process_type == "web":
            network.switch(host, app.name, [process.port for process in new])
            change.live = release or change.live
    if process_type == "web" and release:
        host.console.info1(f"Configuring {host.settings.hostname}...(using built-in template)")
        host.console.info1("Creating http nginx.conf")
        host.console.verbose("Reloading nginx")
        strike(host, "live", app=app.name)
        processes.drain([each.port for each in old], host.settings.stop_timeout)
    processes.stop(old, host.settings.stop_timeout)


def start_all(
    host: Host, app: App, release: Release, wanted: tuple[str, int], command: str
) -> list[Process]:
    """Start the wanted number of processes of a type, one after the other; all or none."""
    started: list[Process] = []
    try:
        for index in range(wanted[1]):
            process = start_checked(host, app, release, (wanted[0], index + 1), command)
            started.append(process)
    except DokkuError:
        processes.stop(started, host.settings.stop_timeout)
        raise
    return started


def start_checked(
    host: Host, app: App, release: Release, identity: tuple[str, int], command: str
) -> Process:
    """Start one process and wait until it passed its checks."""
    process_type, index = identity
    web = process_type == "web"
    if web:
        network.front_port(host, app.name)
    port = processes.free_port("127.0.0.1") if web else 0
    name = f"{process_type}.{index}"
    log = host.store.app_dir(app.name) / "logs" / f"{name}.{release.number}.log"
    process = processes.start(
        host.root,
        [processes.shell(), "-c", command],
        name=identity,
        cwd=Path(release.directory),
        env=tasks.environ(host, app, release.directory, name, str(port or 5000) if web else ""),
        log=log,
        port=port,
    )
    process.release = release.number
    if any(checks.applies(app, key, process_type) for key in (checks.SKIPPED, checks.DISABLED)):
        return process
    host.console.verbose(f"Attempting pre-flight checks ({name})")
    strike(host, "checks", app=app.name)
    paths = tasks.app_json(host, app, release.directory).health_paths if web else ()
    if not checks.passes(host, process, paths):
        reject(host, app, process, log)
    host.console.verbose(f"All checks successful ({name})")
    return process


def reject(host: Host, app: App, process: Process, log: Path) -> NoReturn:
    """End a new process that failed its checks, show what it wrote, and fail the deploy."""
    processes.stop([process], host.settings.stop_timeout)
    text = log.read_text(encoding="utf-8", errors="surrogateescape")
    host.console.block(f"{app.name} container ({process.cid} {process.name})", text)
    shutil.copy(log, host.store.app_dir(app.name) / "logs" / "failed")
    fail(f"Could not start due to 1 failed checks ({process.name})")
