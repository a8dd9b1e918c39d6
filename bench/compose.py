"""A deploy to a real Docker host against what people do by hand, and for how long nothing runs.

Ratios of medians, measured alternately in one run. The round trip is of ssh only.

    python -m bench.compose
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.delay_proxy import DelayProxy
from standins.compose.app import App
from standins.dockerhosts import fleet
from standins.host_app import FILE
from standins.support import BIN

ROUND_TRIP = 0.1  # seconds
GOALS = {  # (ours, baseline) → at most
    ("no-op", "bare ssh host true"): 1.5,
    ("stopped by rollback", "stopped by hand"): 1.2,
}


@dataclass
class Bench:
    """One app on one host behind a proxy."""

    app: App
    port: int
    folder: Path
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kind_and_key = self.app.hosts[0].known_hosts.split(" ", 1)[1]
        self.known_hosts = f"[127.0.0.1]:{self.port} {kind_and_key}\n"
        (self.folder / "known_hosts").write_text(self.known_hosts)

    def ours(self, *argv: str, tag: str, **more: str) -> None:
        """One of our commands; it has to succeed."""
        settings = self.app.settings(
            tag,
            SERVER_HOST=f"deploy@127.0.0.1:{self.port}",
            SSH_SERVER_HOSTKEYS=self.known_hosts,
            **more,
        )
        done = subprocess.run(
            [BIN / argv[0], *argv[1:]], cwd=self.app.checkout.path,
            env={"PATH": os.environ["PATH"], **settings}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    def bare(self) -> None:
        """The least that anything over ssh costs."""
        options = ("BatchMode=yes", "IdentitiesOnly=yes", "LogLevel=ERROR")
        key, hosts = self.folder / "fleet/key", self.folder / "known_hosts"
        subprocess.run(
            [
                "ssh", "-F", "/dev/null", "-i", key, "-p", str(self.port),
                "-o", f"UserKnownHostsFile={hosts}", *(f"-o{each}" for each in options),
                "deploy@127.0.0.1", "true",
            ],
            check=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def by_hand(self, tag: str) -> None:
        """What people type on the host."""
        compose = f"docker compose -p {self.app.name} --project-directory . -f file.yml"
        self.app.hosts[0].sh(f"cd {self.app.name} && DEPLOY_TAG={tag} {compose} up -d 2>&1")

    def time(self, name: str, call: Callable[[], None]) -> None:
        """Note how long it takes."""
        started = time.perf_counter()
        call()
        self.seconds.setdefault(name, []).append(time.perf_counter() - started)

    def stopped(self, name: str, call: Callable[[], None]) -> None:
        """Note for how long nothing ran, by the engine's own events."""
        started = time.time()
        call()
        until = time.time()
        events = self.app.hosts[0].root(
            "docker", "events", f"--since={started:.6f}", f"--until={until:.6f}",
            f"--filter=label=com.docker.compose.project={self.app.name}", "--filter=event=die",
            "--filter=event=start", "--format={{.TimeNano}} {{.Action}}",
        )  # fmt: skip
        moments = dict(line.split()[::-1] for line in events.splitlines())
        self.seconds.setdefault(name, []).append(
            (int(moments["start"]) - int(moments["die"])) / 1e9
        )


def measure(times: int, round_trip: float = ROUND_TRIP) -> dict[str, float]:
    """Medians in seconds, by name."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        (folder / "fleet").mkdir()
        with (
            fleet(folder / "fleet", 1) as (hosts, registry),
            DelayProxy(hosts[0].address, 22, round_trip=round_trip) as proxy,
        ):
            app = App(hosts, registry, folder)
            bench = Bench(app, proxy.port, folder)
            hosts[0].root(
                "sh", "-c", f"cat >{app.folder}/file.yml && chmod 644 {app.folder}/file.yml",
                stdin=(app.checkout.path / FILE).read_text(),
            )  # fmt: skip
            for tag in ("good1", "good2"):
                app.checkout.commit(f"For {tag}")
                bench.time("deploy", lambda: bench.ours("deploy", tag=tag))  # noqa: B023
            for _ in range(times):
                bench.time("bare ssh host true", bench.bare)
                bench.time("no-op", lambda: bench.ours("deploy", tag="good2"))
                bench.stopped(
                    "stopped by rollback", lambda: bench.ours("ci-deploy", "rollback", tag="good2")
                )
                bench.ours("deploy", tag="good2")
                bench.stopped("stopped by hand", lambda: bench.by_hand("good1"))
                bench.ours("deploy", tag="good2")
        return {name: statistics.median(values) for name, values in bench.seconds.items()}


def main() -> None:
    found = measure(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
    for name, seconds in found.items():
        print(f"{name:<22}{seconds:6.2f} s")
    for (ours, baseline), most in GOALS.items():
        print(f"{ours} / {baseline}: {found[ours] / found[baseline]:.2f} (at most {most})")


if __name__ == "__main__":
    main()
