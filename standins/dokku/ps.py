"""`ps:*` and `deploy` (docs processes/process-management.md)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from . import deploy, git, network, processes, tasks, versions
from .builds import recorded
from .locks import exclusive_deploy
from .output import DokkuError, fail, report
from .parsing import parse, parse_report
from .registry import command

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from .host import Host
    from .model import App, Process


@command("ps:rebuild")
def rebuild(host: Host, words: Sequence[str]) -> None:
    """Build the stored code again and deploy it."""
    host.console.merge_stderr = host.since(versions.BUILDS)
    app = host.first_app(parse(words)[0])
    source = git.stored_source(host, app)
    with exclusive_deploy(host, app.name, "ps:rebuild"):
        deploy.build_and_deploy(host, app.name, source)


@command("ps:restart")
def restart(host: Host, words: Sequence[str]) -> None:
    """Release the built code again, with the config of now; all processes or one type."""
    names, _ = parse(words)
    app = host.first_app(names)
    redeploy(host, app, "ps:restart", names[1:])


@command("ps:start")
def start(host: Host, words: Sequence[str]) -> None:
    """Start what was stopped."""
    app = host.first_app(parse(words)[0])
    if running(app) != "true":
        redeploy(host, app, "ps:start")


@command("deploy")
def deploy_built(host: Host, words: Sequence[str]) -> None:
    """Bring live what was built, for example while `skip-deploy` was set."""
    names = parse(words)[0]
    app = host.first_app(names)
    if not app.built:
        fail(f"App image (dokku/{app.name}:latest) not found")
    if len(names) == 1:  # an empty tag shifts the arguments that the scheduler gets
        host.console.merge_stderr = host.since(versions.BUILDS)
        host.console.info1("Deploying web (count=1)")
        host.console.verbose("Attempting pre-flight checks (1.)")
        fail("Could not start due to 1 failed checks (1.)")
    host.console.merge_stderr = host.since(versions.BUILDS)
    deploy.run_processes(host, app, app.built, ())


def redeploy(host: Host, app: App, source: str, only: Collection[str] = ()) -> None:
    """Run a release without a build; Dokku takes no deploy lock for it."""
    if not app.built:
        host.console.warn(f"App {app.name} has not been deployed")
        return
    host.console.merge_stderr = host.since(versions.BUILDS)
    with recorded(host, app.name, source):
        deploy.release_and_deploy(host, app.name, app.built, only)


def restart_after_change(host: Host, app: App) -> None:
    """Restart after a change of the config; a failure is only a warning (plugins/config)."""
    if app.properties.get("ps.restore") == "false":
        return
    host.console.info1(f"Restarting app {app.name}")
    try:
        redeploy(host, app, "config-redeploy")
    except DokkuError as error:
        for line in error.message.splitlines():
            host.console.warn(line)
        host.console.warn("Failure while restarting app: exit status 1")


@command("ps:stop")
def stop(host: Host, words: Sequence[str]) -> None:
    """End all processes; the app's address answers 502 then."""
    app = host.first_app(parse(words)[0])
    host.console.info1(f"Stopping {app.name}")
    with host.store.edit_app(app.name) as change:
        change.properties["ps.restore"] = "false"
        if not host.since(versions.PROPERTY_SETTINGS):
            change.config["DOKKU_APP_RESTORE"] = "0"
    network.switch(host, app.name, [])
    processes.stop(app.processes, host.settings.stop_timeout)


@command("ps:scale")
def scale(host: Host, words: Sequence[str]) -> None:
    """Print or change how many processes of a type run."""
    names, options = parse(words, flags=["--skip-deploy"], values=["--format"])
    app = host.first_app(names)
    if len(names) == 1:
        print_scale(host, app, as_json=options.get("--format") == "json")
        return
    if not app.can_scale:
        fail(
            f"App {app.name} contains an app.json file with a formations key "
            "and cannot be manually scaled"
        )
    counts = dict(parse_count(pair) for pair in names[1:])
    known = tasks.procfile(host, app, app.built.directory) if app.built else counts
    for process_type, count in counts.items():
        if count and process_type not in known:
            host.console.info1(f"Scaling {app.name} processes: {process_type}={count}")
            fail(f"{process_type} is not a valid process name to scale up")
    for process_type, count in counts.items():
        host.console.info1(f"Scaling {app.name} processes: {process_type}={count}")
    with host.store.edit_app(app.name) as change:
        change.scale.update(counts)
    if app.live and not options.flag("--skip-deploy"):
        redeploy(host, host.app(app.name), "ps:restart")


def parse_count(pair: str) -> tuple[str, int]:
    """Read `web=2`."""
    name, equals, count = pair.partition("=")
    if not equals:
        fail(f"Missing count for process type {pair}")
    if not count.isdigit():
        fail(f"Invalid count for process type {name}")
    return name, int(count)


def print_scale(host: Host, app: App, *, as_json: bool) -> None:
    """Print the counts."""
    if as_json:
        rows = [{"process_type": name, "quantity": app.scale[name]} for name in sorted(app.scale)]
        host.console.plain(json.dumps(rows, separators=(",", ":")))
        return
    host.console.info1(f"Scaling for {app.name}")
    host.console.plain("proctype: qty")
    host.console.plain("--------: ---")
    for name in sorted(app.scale):
        host.console.plain(f"{name}:  {app.scale[name]}")


def state(app: App, process: Process) -> str:
    """Return Docker's word for it."""
    alive = "running" if processes.alive(process) else "exited"
    return app.crashing.get(process.name, alive)


def running(app: App) -> str:
    """Return whether the app's processes run: `true`, `false`, or some of them: `mixed`.

    As Docker's `.State.Running`: true as well of one that is being restarted.
    """
    states = {state(app, process) in ("running", "restarting") for process in app.processes}
    return "mixed" if len(states) > 1 else str(states == {True}).lower()


@command("ps:inspect")
def inspect(host: Host, words: Sequence[str]) -> None:
    """Print what Docker knows of the containers (plugins/scheduler-docker-local); only in part."""
    app = host.first_app(words)
    if not app.processes:
        fail('"docker container inspect" requires at least 1 argument.')
    with host.store.edit_app(app.name) as change:
        for name in change.crashing:
            change.restarts[name] = change.restarts.get(name, 0) + 1
    found = []
    for process in change.processes:
        count = change.restarts.get(process.name, 0)
        status = state(change, process)
        labels = {"com.dokku.dyno": process.name, "com.dokku.process-type": process.type}
        found.append(
            {
                "Config": {"Env": [], "Labels": labels},
                "Id": process.cid.ljust(64, "0"),
                "Name": f"/{app.name}.{process.name}",
                "RestartCount": count,
                "State": {"StartedAt": f"{process.started}-{count}", "Status": status},
            }
        )
    host.console.plain(json.dumps(found, sort_keys=True, indent=4))


@command("ps:report")
def ps_report(host: Host, words: Sequence[str]) -> None:
    """Print the state of an app's processes."""
    name, flag, as_json = parse_report(words)
    for app in [host.app(name)] if name else map(host.app, host.store.app_names()):
        own, server = app.properties, host.store.globals().properties
        values = {
            "--deployed": str(app.live is not None).lower(),
            "--processes": str(len(app.processes)),
            "--ps-can-scale": str(app.can_scale).lower(),
            "--ps-computed-procfile-path": host.property(app, "ps.procfile-path") or "Procfile",
            "--ps-global-procfile-path": server.get("ps.procfile-path", "Procfile"),
            "--ps-procfile-path": own.get("ps.procfile-path", ""),
            "--ps-restart-policy": own.get("ps.restart-policy", "on-failure:10"),
            "--restore": own.get("ps.restore", "true"),
            "--running": running(app),
        }
        if host.since(versions.PROPERTY_SETTINGS):
            values["--ps-skip-deploy"] = own.get("ps.skip-deploy", "")
        for process in app.processes:
            values[f"--status-{process.name}"] = f"{state(app, process)} (CID: {process.cid[:11]})"
        trim = host.since(versions.TRIMMED_REPORT_KEYS)
        report(host.console, "ps", app.name, values, flag=flag, as_json=as_json, trim=trim)
