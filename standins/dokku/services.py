"""The commands of `postgres:*`, `mysql:*` and `redis:*`: the plugins share one template."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from . import apps, config
from .output import fail
from .parsing import Options, parse
from .registry import command
from .service_plugin import Plugin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .host import Host

FLAGS = ("--no-restart", "-n", "-f")
VALUES = (
    *("--alias", "-a", "--querystring", "-q", "--password", "-p", "--root-password", "-r"),
    *("--image", "-i", "--image-version", "-I", "--config-options", "-c", "--custom-env", "-C"),
    *("--memory", "-m", "--shm-size", "-s", "--initial-network", "-N"),
)


def plugin(host: Host) -> Plugin:
    """Return the plugin that this command belongs to."""
    return Plugin(host, host.command.partition(":")[0])


def restart(host: Host, app: str, options: Options) -> None:
    """Restart the app after its links changed, unless told not to."""
    if not (options.flag("--no-restart") or options.flag("-n")):
        config.restart(host, app)


@command("service:create")
def create(host: Host, words: Sequence[str]) -> None:
    """Create a service."""
    names, options = parse(words, flags=FLAGS, values=VALUES)
    plugin(host).create(names[0] if names else "", options)


@command("service:clone")
def clone(host: Host, words: Sequence[str]) -> None:
    """Create a service with the content of another."""
    names, options = parse(words, flags=FLAGS, values=VALUES)
    source = plugin(host).get(names)
    if len(names) < 2:
        fail("Please specify a name for the new service")
    copy = plugin(host).create(names[1], options)
    with host.store.edit_service(copy) as change:
        change.cloned_from = source.name
    host.console.info1("Done")


@command("service:exists")
def exists(host: Host, words: Sequence[str]) -> None:
    """Tell whether there is such a service."""
    service = plugin(host).get(words)
    host.console.plain(f"Service {service.name} exists")


@command("service:list")
def list_services(host: Host, words: Sequence[str]) -> None:
    """Print all services of this type."""
    found = host.store.services(plugin(host).name)
    host.console.header(f"{plugin(host).kind.title} services")
    if not found:
        host.console.warn(f"There are no {plugin(host).kind.title} services")
    for service in found:
        host.console.plain(service.name)


@command("service:info")
def info(host: Host, words: Sequence[str]) -> None:
    """Print what is known of a service, or one fact."""
    flags = [word for word in words if word.startswith("--")]
    service = plugin(host).get([word for word in words if not word.startswith("--")])
    facts = plugin(host).facts(service)
    if flags and flags[0] not in facts:
        fail(f"Invalid flag passed, valid flags: {', '.join(facts)}")
    if flags:
        host.console.plain(facts[flags[0]])
        return
    host.console.info2(f"{service.name} {service.type} service information")
    for key, value in facts.items():
        host.console.verbose(f"{key.removeprefix('--').capitalize() + ':':20} {value}")


@command("service:link")
def link(host: Host, words: Sequence[str]) -> None:
    """Give an app the service's address, in a variable that is not taken yet."""
    names, options = parse(words, flags=FLAGS, values=VALUES)
    service, app = plugin(host).get(names), host.first_app(names[1:]).name
    existing = plugin(host).variables(service, app)
    if existing:
        fail(f"Already linked as {existing[0]}")
    alias = options.get("--alias") or options.get("-a")
    variable = f"{alias}_URL" if alias else plugin(host).free_alias(app)
    query = options.get("--querystring") or options.get("-q")
    value = plugin(host).dsn(service, app) + (f"?{query}" if query else "")
    with host.store.edit_service(service) as change:
        change.links = sorted({*change.links, app})
    host.console.info1("Setting config vars")
    for line in config.pretty({variable: value}):
        host.console.verbose(line)
    with host.store.edit_app(app) as change:
        change.config[variable] = value
    restart(host, app, options)


@command("service:unlink")
def unlink(host: Host, words: Sequence[str]) -> None:
    """Take the service's address from an app."""
    names, options = parse(words, flags=FLAGS, values=VALUES)
    service, app = plugin(host).get(names), host.first_app(names[1:]).name
    variables = plugin(host).variables(service, app)
    if app not in service.links and not variables:
        fail(f"Not linked to app {app}")
    with host.store.edit_service(service) as change:
        change.links = [each for each in change.links if each != app]
    host.console.info1(f"Unsetting {' '.join(variables)}")
    with host.store.edit_app(app) as change:
        change.config = {key: value for key, value in change.config.items() if key not in variables}
    restart(host, app, options)


@command("service:linked")
def linked(host: Host, words: Sequence[str]) -> None:
    """Tell whether an app has the service's address."""
    service, app = plugin(host).get(words), host.first_app(words[1:]).name
    if not plugin(host).variables(service, app):
        fail(f"Service {service.name} is not linked to {app}")
    host.console.info1(f"Service {service.name} is linked to {app}")


@command("service:links")
def links(host: Host, words: Sequence[str]) -> None:
    """Print the apps of a service."""
    for app in plugin(host).get(words).links:
        host.console.plain(app)


@command("service:app-links")
def app_links(host: Host, words: Sequence[str]) -> None:
    """Print the services of an app."""
    app = host.first_app(words).name
    for service in host.store.services(plugin(host).name):
        if app in service.links:
            host.console.plain(service.name)


@command("service:destroy")
def destroy(host: Host, words: Sequence[str]) -> None:
    """Remove a service that no app uses."""
    names, options = parse(words, flags=FLAGS, values=VALUES)
    service = plugin(host).get(names)
    if service.links:
        fail("Cannot delete linked service")
    if not (host.force or options.flag("-f")):
        apps.confirm(host, service.name, "service")
    host.console.info2(f"Deleting {service.name}")
    host.store.remove_service(service)
    host.console.info2(f"{plugin(host).kind.title} container deleted: {service.name}")


@command("service:export")
def export(host: Host, words: Sequence[str]) -> None:
    """Write a dump; here only a line that names what it would be of."""
    service = plugin(host).get(words)
    origin = service.cloned_from or service.name
    sys.stdout.write(f"stand-in dump of {service.type} {origin}\n")


@command("service:import")
def import_dump(host: Host, words: Sequence[str]) -> None:
    """Read a dump; here only its first line is understood."""
    service = plugin(host).get(words)
    dump = sys.stdin.buffer.read().decode(errors="replace")
    if not dump:
        fail("No data provided on stdin.")
    with host.store.edit_service(service) as change:
        change.cloned_from = dump.split("\n", 1)[0].rpartition(" ")[2]
