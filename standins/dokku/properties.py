"""`<plugin>:set`: the named properties of apps and of the whole server."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from . import versions
from .output import fail, report
from .parsing import parse_report
from .registry import Handler, command

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .host import Host

PROPERTIES = {
    "app-json": ("appjson-path",),
    "apps": ("disable-autocreation",),
    "builder": ("build-dir", "selected", "skip-cleanup"),
    "builder-dockerfile": ("dockerfile-path",),
    "builds": ("retention",),
    "checks": ("wait-to-retire",),
    "git": ("deploy-branch", "keep-git-dir", "rev-env-var"),
    "ps": ("procfile-path", "restart-policy", "skip-deploy", "stop-timeout-seconds"),
}


@contextmanager
def scope(host: Host, name: str) -> Iterator[dict[str, str]]:
    """Change the properties of an app or, for `--global`, of the server."""
    if name == "--global":
        with host.store.edit_globals() as server:
            yield server.properties
    else:
        host.app(name)
        with host.store.edit_app(name) as app:
            yield app.properties


def setter(plugin: str) -> Handler:
    """Return what `<plugin>:set` does."""

    def set_property(host: Host, words: Sequence[str]) -> None:
        target, name, value = [*words, "", "", ""][:3]
        known = [each for each in PROPERTIES[plugin] if host.since(_since(each))]
        if name not in known:
            fail(f"Invalid property specified. Valid properties include: {', '.join(known)}")
        with scope(host, target) as properties:
            properties[f"{plugin}.{name}"] = value
            if not value and name != "rev-env-var":
                del properties[f"{plugin}.{name}"]
        host.console.info2(f"Setting {name} to {value}" if value else f"Unsetting {name}")

    return set_property


def _since(name: str) -> versions.Version:
    return versions.PROPERTY_SETTINGS if name == "skip-deploy" else (0,)


for _plugin in PROPERTIES:
    command(f"{_plugin}:set")(setter(_plugin))


@command("app-json:report")
def app_json_report(host: Host, words: Sequence[str]) -> None:
    """Print where an app's app.json is."""
    name, flag, as_json = parse_report(words)
    app = host.app(name)
    values = {
        "--app-json-appjson-path": app.properties.get("app-json.appjson-path", ""),
        "--app-json-computed-appjson-path": host.property(app, "app-json.appjson-path")
        or "app.json",
    }
    trim = host.since(versions.TRIMMED_REPORT_KEYS)
    report(host.console, "app json", app.name, values, flag=flag, as_json=as_json, trim=trim)


@command("builder:report")
def builder_report(host: Host, words: Sequence[str]) -> None:
    """Print how an app is built."""
    name, flag, as_json = parse_report(words)
    app = host.app(name)
    server = host.store.globals().properties
    values = {
        "--builder-build-dir": app.properties.get("builder.build-dir", ""),
        "--builder-computed-build-dir": host.property(app, "builder.build-dir"),
        "--builder-computed-selected": host.property(app, "builder.selected"),
        "--builder-detected": app.properties.get("builder.detected", ""),
        "--builder-global-build-dir": server.get("builder.build-dir", ""),
        "--builder-global-selected": server.get("builder.selected", ""),
        "--builder-selected": app.properties.get("builder.selected", ""),
    }
    trim = host.since(versions.TRIMMED_REPORT_KEYS)
    report(host.console, "builder", app.name, values, flag=flag, as_json=as_json, trim=trim)
