"""What a deploy costs as the history grows: a push sends what is new, an archive all files.

Histories of one small file are made by `git fast-import`, with a tree of a hundred files beside it.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path

from bench.delay_proxy import DelayProxy
from bench.dokku import QUICK, Bench
from standins.dokku import times
from standins.dokku.server import DokkuStandIn
from standins.support import BIN, Checkout

SIZES = (1_000, 10_000, 100_000)  # commits
ROUND_TRIP = 0.03  # seconds


def grow(checkout: Checkout, commits: int) -> None:
    """Put so many commits on top."""
    who = "committer Bench <bench@example.com>"
    parts = [b"reset refs/heads/main\nfrom refs/heads/main^0\n\n"]
    for number in range(commits):
        text = f"line {number}\n".encode()
        when = f"{1_700_000_000 + number} +0000"
        head = f"commit refs/heads/main\n{who} {when}\ndata 6\nCommit\n"
        change = f"M 100644 inline log/{number % 100}.txt\ndata {len(text)}\n"
        parts.append(head.encode() + change.encode() + text + b"\n")
    argv = ["git", "-C", str(checkout.path), "fast-import", "--quiet", "--force"]
    subprocess.run(argv, input=b"".join(parts), check=True)
    subprocess.run(["git", "-C", str(checkout.path), "reset", "-q", "--hard"], check=True)


def measure(commits: int) -> dict[str, float]:
    """Seconds of the first deploy and of one more commit, by push and by archive."""
    found = {}
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as name,
        DokkuStandIn(Path(name, "server"), delay=times.OTHERS, checks_wait=0.0) as server,
        DelayProxy("127.0.0.1", server.port, round_trip=ROUND_TRIP) as proxy,
    ):
        folder = Path(name)
        bench = Bench(server, proxy.port, folder, Checkout(folder / "app", QUICK))
        grow(bench.checkout, commits)
        for method in ("push", "archive"):
            settings = {"APP_NAME": method, "DEPLOY_METHOD": method, "DOKKU_CREATE_APP": "true"}
            for when in ("first", "next"):
                started = time.perf_counter()
                bench.ours("deploy", **settings)
                found[f"{method}, {when}"] = time.perf_counter() - started
                bench.commit()
    return found


def memory() -> dict[str, float]:
    """Most resident memory of a deploy in MB: of our own process, and of any of its children."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as name,
        DokkuStandIn(Path(name, "server"), checks_wait=0.0) as server,
    ):
        folder = Path(name)
        bench = Bench(server, server.port, folder, Checkout(folder / "app", QUICK))
        status = folder / "status"
        spy = (
            "import pathlib, resource\n"
            "from ci_deploy import cli\n"
            "code = cli.run(['deploy'])\n"
            "own = pathlib.Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0]\n"
            "child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss\n"
            f"pathlib.Path({str(status)!r}).write_text(f'{{own}} {{child}}')\n"
            "raise SystemExit(code)\n"
        )
        bench.program(BIN / "python", "-I", "-c", spy, DOKKU_CREATE_APP="true")
        own, children = (int(kilobytes) / 1024 for kilobytes in status.read_text().split())
        return {"ci-deploy": own, "largest child (git, ssh)": children}
