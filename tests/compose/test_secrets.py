"""A sentinel in every secret: where it may be is the host's 0600 files, and nowhere else."""

from __future__ import annotations

import base64
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from standins.compose.app import App
from standins.dockerhosts import PASSWORD, USER, DockerHost
from standins.support import Done

CONFIG = "s3ntinel-c0nfig-%$x'\"y"
NEEDLES = [PASSWORD, base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode(), CONFIG]
NEEDLES.append("s3ntinel-c0nfig")  # files escape the rest of it
PLACES = "/home /tmp /dev/shm /run/user /var/tmp /root"


@contextmanager
def _watched(host: DockerHost, needles: list[str]) -> Iterator[tuple[set[str], set[str]]]:
    """Looks again and again at all argument lists here and on the hosts (their processes are this
    machine's too), and at the host's files: what had a needle, files with their mode."""
    argvs: set[str] = set()
    files: set[str] = set()
    over = threading.Event()

    def argv() -> None:
        own = "REGISTRY_PASSWORD="  # how the tests start their registry
        while not over.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    text = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
                except OSError:
                    continue
                if own not in text and any(needle in text for needle in needles):
                    argvs.add(text)
            time.sleep(0.01)

    def look() -> None:
        while not over.is_set():
            files.update(_files(host, needles))
            time.sleep(0.2)

    threads = [threading.Thread(target=argv), threading.Thread(target=look)]
    for thread in threads:
        thread.start()
    try:
        yield argvs, files
    finally:
        over.set()
        for thread in threads:
            thread.join()
        files.update(_files(host, needles))


def _files(host: DockerHost, needles: list[str]) -> list[str]:
    """`mode path` of the files in which a needle is."""
    script = f"grep -rlsF -f - {PLACES} | xargs -r -d '\\n' stat -c '%a %n' 2>/dev/null"
    return host.root("sh", "-c", script, check=False, stdin="\n".join(needles)).splitlines()


def _seen_by_the_job(done: Done) -> str:
    """Everything that a job shows or leaves."""
    left = [
        path for path in done.workspace.rglob("*") if path.is_file() and ".git/" not in str(path)
    ]
    return done.output + done.errors + "".join(path.read_text() for path in left)


@pytest.mark.parametrize("tag", ["good1", "crash1"], ids=["good", "tells its environment"])
def test_no_secret_is_seen_in_argv_log_audit_or_an_open_file(app: App, tag: str) -> None:
    told = "env" if tag == "crash1" else "touch /ok; sleep 600"
    app.write(
        app.small.replace(
            "env_file", f'command: ["sh", "-c", "{told}"]\n    init: true\n    env_file'
        )
    )
    config = CONFIG.replace("\\", "\\\\").replace("'", "\\'")
    secrets = {"APP_CONFIG": f"API_TOKEN='{config}'\n"}
    key = app.hosts[0].key.splitlines()[2]
    with _watched(app.hosts[0], [*NEEDLES, key]) as (argvs, files):
        done = app.deploy(tag, **secrets)
    assert done.code == (0 if tag == "good1" else 20), done.output
    shown = _seen_by_the_job(done)
    assert not [needle for needle in [*NEEDLES, key] if needle in shown]
    assert argvs == set()
    assert files, "the release's own env file was seen"
    assert {line.split()[0] for line in files} == {"600"}
    assert not [needle for needle in NEEDLES if needle in app.read("audit.jsonl")]


def test_registry_login_does_not_outlive_the_deploy(app: App) -> None:
    assert app.deploy("good1").code == 0
    assert _files(app.hosts[0], NEEDLES[:2]) == []
    assert app.hosts[0].sh("ls -A .docker 2>/dev/null || true") == ""
    app.hosts[0].hold("pull*")
    app.checkout.commit("Next")
    running = app.start("good2")
    app.hosts[0].held()
    running.signal(signal.SIGKILL)
    app.hosts[0].kill_runs()
    running.done()
    app.hosts[0].release()
    assert app.deploy("good2").code == 0
    assert _files(app.hosts[0], NEEDLES[:2]) == []
