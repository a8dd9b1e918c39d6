"""Where an app answers: its public port, `urls`, `domains:*`, `certs:*`, `letsencrypt:*`."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from . import versions
from .output import fail, report
from .parsing import parse, parse_report
from .processes import alive, python, start
from .registry import Handler, command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .host import Host
    from .model import App


def front_port(host: Host, name: str) -> int:
    """Return the app's public port; start the process that listens on it when there is none."""
    directory = host.store.app_dir(name)
    port_file = directory / "front.port"
    with host.store.edit_app(name) as app:
        if app.front and alive(app.front):
            return app.front.port
        port_file.unlink(missing_ok=True)
        arguments = (host.settings.bind, str(directory))
        front = start(
            host.root,
            python("front", *arguments),
            name=("front", 1),
            cwd=directory,
            env={"PATH": os.defpath},
            log=directory / "logs" / "front.log",
        )
        while not port_file.exists() and alive(front):
            time.sleep(0.005)
        front.port = int(port_file.read_text(encoding="ascii"))
        app.front = front
        return front.port


def switch(host: Host, name: str, ports: Sequence[int]) -> None:
    """Send the app's visitors to these web processes from now on."""
    directory = host.store.app_dir(name)
    draft = directory / f"upstream.{os.getpid()}"
    draft.write_text(" ".join(map(str, ports)), encoding="ascii")
    draft.replace(directory / "upstream")


def urls(host: Host, app: App) -> list[str]:
    """Return the app's addresses; without a domain the server's name and the app's port."""
    port = f":{app.front.port}" if app.front else ""
    names = app.domains or [host.settings.hostname]
    schemes = ["http", "https"] if app.certificate else ["http"]
    return sorted(f"{scheme}://{name}{port}" for name in names for scheme in schemes)


@command("urls")
def print_urls(host: Host, words: Sequence[str]) -> None:
    """Print all addresses."""
    for url in urls(host, host.first_app(words)):
        host.console.plain(url)


@command("url")
def print_url(host: Host, words: Sequence[str]) -> None:
    """Print the best address."""
    found = urls(host, host.first_app(words))
    secure = [url for url in found if url.startswith("https:")]
    host.console.plain((secure or found)[0])


def domain_changer(verb: str, *, server_wide: bool) -> Handler:
    """Return what `domains:add`, `:set`, `:remove`, `:clear` (and `…-global`) do."""

    def change(host: Host, words: Sequence[str]) -> None:
        given = list(words)
        scope = "" if server_wide else host.first_app(given).name
        names = given if server_wide else given[1:]
        if not names and verb != "clear":
            fail("Please specify a domain")
        if server_wide:
            with host.store.edit_globals() as server:
                server.domains = _changed(server.domains, names, verb)
        else:
            with host.store.edit_app(scope) as app:
                app.domains = _changed(app.domains, names, verb)
        past = {"add": "Added", "set": "Set", "remove": "Removed", "clear": "Cleared"}[verb]
        host.console.info1(" ".join([past, *names, *(["to", scope] if scope else [])]))

    return change


def _changed(current: list[str], names: list[str], verb: str) -> list[str]:
    if verb == "remove":
        return [name for name in current if name not in names]
    kept = current if verb == "add" else []
    return [*kept, *(name for name in names if name not in kept)]


for _verb in ("add", "set", "remove", "clear"):
    command(f"domains:{_verb}")(domain_changer(_verb, server_wide=False))
    command(f"domains:{_verb}-global")(domain_changer(_verb, server_wide=True))


@command("domains:report")
def domains_report(host: Host, words: Sequence[str]) -> None:
    """Print the domains of an app."""
    name, flag, as_json = parse_report(words)
    app = host.app(name)
    server = host.store.globals().domains
    values = {
        "--domains-app-enabled": str(bool(app.domains)).lower(),
        "--domains-app-vhosts": " ".join(app.domains),
        "--domains-global-enabled": str(bool(server)).lower(),
        "--domains-global-vhosts": " ".join(server),
    }
    trim = host.since(versions.TRIMMED_REPORT_KEYS)
    report(host.console, "domains", app.name, values, flag=flag, as_json=as_json, trim=trim)


def _certify(host: Host, app: App, source: str) -> None:
    with host.store.edit_app(app.name) as change:
        change.certificate = source


@command("certs:add")
def certs_add(host: Host, words: Sequence[str]) -> None:
    """Take a certificate from stdin; its content is not looked at."""
    app = host.first_app(words)
    if not sys.stdin.buffer.read():
        fail("Tar archive containing server.crt and server.key expected on stdin")
    _certify(host, app, "certs")


@command("certs:report")
def certs_report(host: Host, words: Sequence[str]) -> None:
    """Print whether an app has a certificate."""
    name, flag, as_json = parse_report(words)
    app = host.app(name)
    values = {"--ssl-enabled": str(bool(app.certificate)).lower()}
    report(host.console, "ssl", app.name, values, flag=flag, as_json=as_json)


@command("letsencrypt:set")
def letsencrypt_set(host: Host, words: Sequence[str]) -> None:
    """Set the e-mail address, of an app or of the server."""
    target, name, value = [*words, "", "", ""][:3]
    if target == "--global":
        with host.store.edit_globals() as server:
            server.properties[f"letsencrypt.{name}"] = value
    else:
        host.app(target)
        with host.store.edit_app(target) as app:
            app.properties[f"letsencrypt.{name}"] = value
    host.console.info2(f"Setting {name} to {value}")


@command("letsencrypt:enable")
def letsencrypt_enable(host: Host, words: Sequence[str]) -> None:
    """Get a certificate: the app must be deployed, have a domain, and the e-mail must be set."""
    app = host.first_app(parse(words)[0])
    if not app.live:
        fail(f"App {app.name} is not deployed")
    if not app.domains:
        fail(f"No domains found for {app.name}")
    if not host.property(app, "letsencrypt.email"):
        fail("Cannot request a certificate without an e-mail address!")
    host.console.info2(f"Enabling letsencrypt for {app.name}")
    _certify(host, app, "letsencrypt")
    host.console.info1(f"Certificate retrieved successfully for {app.name}")


@command("letsencrypt:disable")
def letsencrypt_disable(host: Host, words: Sequence[str]) -> None:
    """Forget the certificate."""
    _certify(host, host.first_app(words), "")


@command("letsencrypt:active")
def letsencrypt_active(host: Host, words: Sequence[str]) -> None:
    """Print whether the certificate comes from Let's Encrypt."""
    app = host.first_app(words)
    host.console.plain(str(app.certificate == "letsencrypt").lower())
