"""A deploy to Dokku against what people do by hand, at several round trips.

Each remote command costs what it does on a real server. How long the builds take is left out: it is
the same for all, and would make them look more alike than they are. Ratios of medians, measured
alternately in one run.
"""

from __future__ import annotations

import os
import shlex
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.delay_proxy import DelayProxy
from standins.dokku import recording, times
from standins.dokku.server import DokkuStandIn
from standins.support import BIN, Checkout

ROUND_TRIPS = (0.0, 0.03, 0.1)  # seconds
QUICK = {
    "Procfile": "worker: sleep 600\n",
    "app.json": '{"formation": {"worker": {"quantity": 1}}}\n',
}
GOALS = {  # at 100 ms: (ours, baseline) → at most
    ("deploy", "bare push"): 2.0,
    ("deploy", "official image's steps"): 1.0,
    ("no-op", "bare push of nothing"): 1.5,
    ("no-op", "official image's steps, nothing new"): 1.0,
    ("review", "classic review script"): 0.5,
}


@dataclass
class Bench:
    """One server behind one proxy, and the ways to deploy to it."""

    server: DokkuStandIn
    port: int
    folder: Path
    checkout: Checkout
    count: int = 0
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        keys = [line.split(" ", 1)[1] for line in self.server.known_hosts.splitlines()]
        self.known_hosts = "".join(f"[127.0.0.1]:{self.port} {key}\n" for key in keys)
        (self.folder / "known_hosts").write_text(self.known_hosts)
        self.key = self.server.private_key_path

    @property
    def where(self) -> str:
        """Who and where to connect to."""
        return f"{self.server.user}@127.0.0.1"

    def shell(self, script: str, **environ: str) -> None:
        """A shell script as it stands in people's CI files; it has to succeed."""
        home = self.folder / f"home{self.count}"
        home.mkdir(exist_ok=True)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.checkout.path,
            env={
                "PATH": os.environ["PATH"], "HOME": str(home), "PORT": str(self.port),
                "WHERE": self.where, "KEY": str(self.key),
                "HOSTS": str(self.folder / "known_hosts"), **environ,
            },
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def ours(self, *argv: str, **settings: str) -> None:
        """One of our commands; it has to succeed."""
        self.program(BIN / argv[0], *argv[1:], **settings)

    def program(self, *argv: str | Path, **settings: str) -> None:
        """A program with our settings in its environ; it has to succeed."""
        environ = {
            "PATH": os.environ["PATH"],
            "APP_NAME": "ours",
            "DOKKU_HOST": f"{self.where}:{self.port}",
            "SSH_PRIVATE_KEY": self.server.private_key,
            "SSH_SERVER_HOSTKEYS": self.known_hosts,
            **settings,
        }
        done = subprocess.run(
            argv, cwd=self.checkout.path, env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def time(self, name: str, call: Callable[[], None], *, deploys: str = "") -> None:
        """Note how long it takes, but for the build of the app that it deploys."""
        started = time.perf_counter()
        call()
        seconds = time.perf_counter() - started
        if deploys:
            seconds -= recording.deploys(self.server.root, deploys)[-1]
        self.seconds.setdefault(name, []).append(seconds)

    def commit(self) -> None:
        """Something new to deploy."""
        self.count += 1
        self.checkout.commit(f"Commit {self.count}", {"count": str(self.count)})


PINNED = 'ssh -i "$KEY" -o UserKnownHostsFile="$HOSTS" -o IdentitiesOnly=yes -o BatchMode=yes'
ON_DISK = """
mkdir -p "$HOME/.ssh"
cp "$KEY" "$HOME/.ssh/key" && chmod 600 "$HOME/.ssh/key"
ssh-keyscan -p "$PORT" 127.0.0.1 >"$HOME/.ssh/known_hosts" 2>/dev/null
ssh() { command ssh -p "$PORT" -i "$HOME/.ssh/key" -o IdentitiesOnly=yes \
  -o UserKnownHostsFile="$HOME/.ssh/known_hosts" "$@"; }
export GIT_SSH_COMMAND="ssh -i $HOME/.ssh/key -o IdentitiesOnly=yes \
  -o UserKnownHostsFile=$HOME/.ssh/known_hosts"
"""
PUSH = 'git push -q "ssh://$WHERE:$PORT/$APP" HEAD:refs/heads/master'
BARE_PUSH = f"export GIT_SSH_COMMAND='{PINNED}'\n{PUSH}"
CLASSIC = ON_DISK + PUSH
# The documented order of the official image: keyscan (hashed), agent, ssh-add, push.
OFFICIAL = f"""
mkdir -p "$HOME/.ssh"
ssh-keyscan -H -p "$PORT" 127.0.0.1 >"$HOME/.ssh/known_hosts" 2>/dev/null
eval "$(ssh-agent -s)" >/dev/null
trap 'kill $SSH_AGENT_PID' EXIT
ssh-add -q "$KEY"
export GIT_SSH_COMMAND="ssh -o UserKnownHostsFile=$HOME/.ssh/known_hosts"
{PUSH}
"""
CLASSIC_REVIEW = f"""{ON_DISK}
ssh "$WHERE" apps:create "$APP"
ssh "$WHERE" config:set --no-restart "$APP" MYSQL_DATABASE_SCHEME=mysql2
ssh "$WHERE" mysql:create "$APP-database"
ssh "$WHERE" mysql:link "$APP-database" "$APP" --no-restart
{PUSH}
"""


def measure(round_trip: float, rounds: int) -> dict[str, float]:
    """Medians in seconds, by name."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as place,
        DokkuStandIn(
            Path(place, "server"), delay=times.OTHERS, seconds=times.SECONDS, checks_wait=0.0
        ) as server,
        DelayProxy("127.0.0.1", server.port, round_trip=round_trip) as proxy,
    ):
        folder = Path(place)
        bench = Bench(server, proxy.port, folder, Checkout(folder / "app", QUICK))
        apps = ("bare", "classic", "official")
        for app in apps:
            bench.shell(f"{PINNED} -p $PORT $WHERE apps:create {shlex.quote(app)}")
        bench.ours("deploy", DOKKU_CREATE_APP="true")
        for number in range(rounds):
            one_round(bench, number)
        return {name: statistics.median(values) for name, values in bench.seconds.items()}


def one_round(bench: Bench, number: int) -> None:
    """Something new, deployed in each way."""
    shell, ours = bench.shell, bench.ours
    bench.commit()
    bench.time("bare push", lambda: shell(BARE_PUSH, APP="bare"), deploys="bare")
    bench.time("classic script", lambda: shell(CLASSIC, APP="classic"), deploys="classic")
    name = "official image's steps"
    bench.time(name, lambda: shell(OFFICIAL, APP="official"), deploys="official")
    bench.time("deploy", lambda: ours("deploy"), deploys="ours")
    bench.time("bare push of nothing", lambda: shell(BARE_PUSH, APP="bare"))
    bench.time(f"{name}, nothing new", lambda: shell(OFFICIAL, APP="official"))
    bench.time("no-op", lambda: ours("deploy"))
    app, new = f"classic-{number}", f"review-{number}"
    bench.time("classic review script", lambda: shell(CLASSIC_REVIEW, APP=app), deploys=app)
    settings = {
        "REVIEW_APP_NAME": new,
        "REVIEW_CONFIG": "MYSQL_DATABASE_SCHEME=mysql2\n",
        "DOKKU_SERVICES": "mysql",
    }
    bench.time("review", lambda: ours("ci-deploy", "review", **settings), deploys=new)


def start_up(rounds: int) -> dict[str, float]:
    """Medians in seconds of starting Python, and of our shortest command."""
    found: dict[str, list[float]] = {}
    for _ in range(4 * rounds):
        for name, argv in {
            "python -c pass": [str(BIN / "python"), "-c", "pass"],
            "version --short": [str(BIN / "ci-deploy"), "version", "--short"],
            "--help": [str(BIN / "ci-deploy"), "--help"],
        }.items():
            started = time.perf_counter()
            subprocess.run(argv, check=True, capture_output=True)
            found.setdefault(name, []).append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in found.items()}
