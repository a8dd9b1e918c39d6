"""Zero-downtime checks (docs deployment/zero-downtime-deploys.md), and `checks:*`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from . import versions
from .output import fail, report
from .parsing import parse_report
from .processes import alive, answers
from .registry import Handler, command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .host import Host
    from .model import App, Process

DISABLED, SKIPPED = "checks.disabled-list", "checks.skipped-list"


def applies(app: App, key: str, process_type: str) -> bool:
    """Tell whether checks are disabled or skipped for a process type."""
    listed = app.properties.get(key, "none").split(",")
    return process_type in listed or "_all_" in listed


def passes(host: Host, process: Process, health_paths: Sequence[str]) -> bool:
    """Tell whether a new process is fit: it lives long enough, and answers if it has a port."""
    started = time.monotonic()
    deadline = started + host.settings.checks_timeout
    while process.port and not answers(process.port):
        if not alive(process) or time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    for path in health_paths if process.port else ():
        while not _healthy(process.port, path):
            if not alive(process) or time.monotonic() > deadline:
                return False
            time.sleep(0.05)
    time.sleep(max(0.0, host.settings.checks_wait - (time.monotonic() - started)))
    return alive(process)


def _healthy(port: int, path: str) -> bool:
    import http.client  # takes long to import, and few apps need it

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return 200 <= connection.getresponse().status < 400
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def marker(verb: str, key: str) -> Handler:
    """Return what `checks:disable`, `:skip` and `:enable` do."""

    def mark(host: Host, words: Sequence[str]) -> None:
        app = host.first_app(words)
        types = ",".join(words[1:]) or "_all_"
        host.console.info1(f"{verb} zero downtime for app's ({app.name}) proctypes ({types})")
        with host.store.edit_app(app.name) as change:
            change.properties.pop(DISABLED, None)
            change.properties.pop(SKIPPED, None)
            if key:
                change.properties[key] = types

    return mark


command("checks:disable")(marker("Disabling", DISABLED))
command("checks:skip")(marker("Skipping", SKIPPED))
command("checks:enable")(marker("Enabling", ""))


@command("checks:run")
def run(host: Host, words: Sequence[str]) -> None:
    """Check the processes that run."""
    app = host.first_app(words)
    host.console.info1("Running pre-flight checks")
    failed = [process.name for process in app.processes if not passes(host, process, ())]
    if failed:
        fail(f"Could not start due to {len(failed)} failed checks ({', '.join(failed)})")
    host.console.verbose("All checks successful")


@command("checks:report")
def checks_report(host: Host, words: Sequence[str]) -> None:
    """Print how an app is checked."""
    name, flag, as_json = parse_report(words)
    app = host.app(name)
    retire = host.property(app, "checks.wait-to-retire")
    values = {
        "--checks-computed-wait-to-retire": retire or "60",
        "--checks-disabled-list": app.properties.get(DISABLED, "none"),
        "--checks-skipped-list": app.properties.get(SKIPPED, "none"),
        "--checks-wait-to-retire": app.properties.get("checks.wait-to-retire", ""),
    }
    trim = host.since(versions.TRIMMED_REPORT_KEYS)
    report(host.console, "checks", app.name, values, flag=flag, as_json=as_json, trim=trim)
