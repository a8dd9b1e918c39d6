"""One-off commands: `run`, `run:*`, `enter` (docs processes/one-off-tasks.md)."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from . import pids, processes, tasks
from .model import App, Process
from .output import fail
from .parsing import Options, parse
from .registry import command
from .state import locked, read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .host import Host

FLAGS = ("--no-tty", "--force-tty", "--detach")
VALUES = ("--env", "-e", "--ttl-seconds")

# In a container only its own processes can be seen, and the first of them is number 1.
SHIMS = {
    "pgrep": '#!/bin/sh\nexec /usr/bin/pgrep -s "$STANDIN_SESSION" "$@"\n',
    "pkill": '#!/bin/sh\nexec /usr/bin/pkill -s "$STANDIN_SESSION" "$@"\n',
    "ps": '#!/bin/sh\nexec /bin/ps --sid "$STANDIN_SESSION" -o pid,stat,args\n',
    "kill": (
        '#!/bin/sh\nfor each do shift; [ "$each" = 1 ] && each=$STANDIN_SESSION; '
        'set -- "$@" "$each"; done\nexec /bin/kill "$@"\n'
    ),
}
SHELL_PRELUDE = 'kill() { command "$STANDIN_BIN/kill" "$@"; }\n'


def read_arguments(host: Host, words: Sequence[str]) -> tuple[App, list[str], Options]:
    """Return the app, the command and the options in front of them."""
    arguments, options = parse(words, flags=FLAGS, values=VALUES, interspersed=False)
    app = host.first_app(arguments)
    if not app.built:
        fail(
            "Invalid image stage detected: expected one of 'build' or 'release', got ''\n"
            "Successfully deploy your app to fix dokku run calls"
        )
    return app, arguments[1:], options


def resolve(host: Host, app: App, argv: Sequence[str]) -> list[str]:
    """Return the command to run; a name from the `Procfile` stands for its command."""
    if not argv:
        fail("No command specified")
    known = tasks.procfile(host, app, built(app)).get(argv[0])
    if known is None:
        return list(argv)
    host.console.info1(f"Found '{argv[0]}' in Procfile, running that command")
    return [processes.shell(), "-c", f"{known} {shlex.join(argv[1:])}"]


def built(app: App) -> str:
    """Return the directory of the app's newest build."""
    return app.built.directory if app.built else ""


def environ(host: Host, app: App, options: Options) -> dict[str, str]:
    """Return the environment: the app's, and what the caller adds."""
    found = tasks.environ(host, app, built(app), f"run.{os.getpid() % 10000}")
    for name in ("--env", "-e"):
        for pair in options.many(name):
            key, _, value = pair.partition("=")
            found[key] = value
    return found


@command("run")
def run(host: Host, words: Sequence[str]) -> int:
    """Run a command in a new process of the built release; its exit code is the answer."""
    app, argv, options = read_arguments(host, words)
    resolved = resolve(host, app, argv)
    name = f"{app.name}.run.{os.getpid() % 10000}"
    return attach(
        host,
        resolved,
        built(app),
        environ(host, app, options),
        started=lambda pid, since: note_run(host, app, name, (pid, since), argv),
    )


def attach(
    host: Host,
    argv: Sequence[str],
    directory: str,
    env: dict[str, str],
    started: Callable[[int, str], None] = lambda _pid, _since: None,
) -> int:
    """Run a command on this connection; it has no input, as a container without a terminal."""
    sys.stdout.flush()
    try:
        child = subprocess.Popen(
            argv, cwd=directory, env=env, stdin=subprocess.DEVNULL, start_new_session=True
        )
    except OSError as error:
        sys.stderr.write(f'exec: "{argv[0]}": {error.strerror}\n')
        return 126 if isinstance(error, PermissionError) else 127
    started(child.pid, pids.remember(host.root, child.pid))
    code = child.wait()
    return 128 - code if code < 0 else code


@command("run:detached")
def detached(host: Host, words: Sequence[str]) -> None:
    """Start a command and print its container's name at once."""
    app, argv, options = read_arguments(host, words)
    name = f"{app.name}.run.{os.getpid() % 10000}"
    process = processes.start(
        host.root,
        resolve(host, app, argv),
        name=("run", 1),
        cwd=Path(built(app)),
        env=environ(host, app, options),
        log=host.store.app_dir(app.name) / "logs" / name,
    )
    note_run(host, app, name, (process.pid, process.started), argv)
    host.console.plain(name)


def note_run(
    host: Host, app: App, name: str, process: tuple[int, str], argv: Sequence[str]
) -> None:
    """Remember a one-off command, for `run:list`."""
    path = host.store.app_dir(app.name) / "runs.json"
    with locked(path):
        note = {"pid": process[0], "started": process[1], "command": list(argv)}
        write_json(path, {**read_json(path), name: note})


def containers(host: Host, app: App) -> dict[str, dict[str, str]]:
    """Return the one-off commands, with their state of now."""
    notes = read_json(host.store.app_dir(app.name) / "runs.json")
    found = {}
    for name, note in notes.items():
        alive = pids.start_time(note["pid"]) == note["started"]
        state = "running" if alive else "exited"
        found[name] = {"name": name, "state": state, "command": " ".join(note["command"])}
    return found


@command("run:list", since=(0, 25))
def run_list(host: Host, words: Sequence[str]) -> None:
    """Print the one-off commands that run."""
    names, options = parse(words, values=["--format"])
    app = host.first_app(names)
    rows = [each for each in containers(host, app).values() if each["state"] == "running"]
    if options.get("--format") == "json":
        host.console.plain(json.dumps(rows, separators=(",", ":")))
        return
    host.console.header(f"{app.name} run containers")
    for row in rows:
        host.console.plain("  ".join(row.values()))


@command("run:logs", since=(0, 25))
def run_logs(host: Host, words: Sequence[str]) -> None:
    """Print what a detached command wrote."""
    names, options = parse(words, values=["--container"])
    container = options.get("--container", "")
    app = host.app(names[0] if names else container.partition(".run.")[0])
    if container not in containers(host, app):
        fail(f"No such container: {container}")
    log = host.store.app_dir(app.name) / "logs" / container
    sys.stdout.write(log.read_text(encoding="utf-8", errors="surrogateescape"))


@command("enter")
def enter(host: Host, words: Sequence[str]) -> int:
    """Run a command beside a running process (docs processes/entering-containers.md)."""
    app = host.first_app(words)
    process = _chosen(app, words[1] if len(words) > 1 else "")
    if not processes.alive(process):
        fail(f"Container {app.name}.{process.name} is not running")
    argv = list(words[2:]) or [processes.shell()]
    if argv[0] in ("sh", "bash", "/bin/sh", "/bin/bash") and argv[1:2] == ["-c"]:
        argv[2:3] = [SHELL_PRELUDE + "".join(argv[2:3])]
    directory = built(app)
    env = tasks.environ(host, app, directory, process.name)
    shims = install_shims(host.root / "bin")
    env |= {
        "PATH": f"{shims}:{env['PATH']}",
        "STANDIN_BIN": str(shims),
        "STANDIN_SESSION": str(process.pid),
    }
    return attach(host, argv, directory, env)


def _chosen(app: App, name: str) -> Process:
    if not app.processes:
        fail(f"App {app.name} has not been deployed")
    wanted = name or "web.1"
    found = [each for each in app.processes if wanted in (each.name, each.type, each.cid)]
    return found[0] if found else fail(f"No containers found for type '{wanted}'")


def install_shims(directory: Path) -> Path:
    """Put the programs in place that keep `enter` to the processes of one container."""
    for name, text in SHIMS.items():
        path = directory / "container" / name
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            path.chmod(0o755)
    return directory / "container"
