"""What a client loses while an app is deployed, behind each proxy: one deploy after the other with
`order: start-first`, with Compose's own order, and by `docker compose up -d --wait` by hand.

    python -m bench.switch [--deploys 20] [--traefik PATH]

prints its section of docs/performance.md. A deploy takes half a minute. Traefik is not one of
Debian's packages, and cannot be installed by `go install`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import yaml

from standins.compose.app import App
from standins.compose.proxies import IMAGE, PROXIES, Seen, client, load, service, snippets
from standins.dockerhosts import fleet
from standins.engine import docker
from standins.support import ROOT

CADDY = "2.11.2"  # the oldest that sends a refused POST to another container: newer than Debian's
CADDY_AT, TRAEFIK_AT = "/opt/caddy", "/opt/traefik"  # on the host
NAMES = {"caddy": "Caddy", "nginx": "nginx", "haproxy": "HAProxy", "traefik": "Traefik"}
DEPLOYS = 20
APP = """services:
  app:
    image: zero:${{DEPLOY_TAG}}
    pull_policy: never
    environment: {{BOOT: "5", TAKES: "3"}}
    restart: unless-stopped
    stop_grace_period: 30s
    healthcheck:
      test: ["CMD", "python3", "-IS", "/app.py", "check"]
      interval: 2s
      start_period: 60s
      start_interval: 1s
    deploy:
      replicas: 2
      update_config:
        order: {order}
"""


class Found(NamedTuple):
    """One way of deploying, again and again."""

    deploys: int
    seconds: float  # of one, the median
    seen: dict[str, Seen]  # by proxy


def newer_caddy(folder: Path) -> Path | None:
    """Caddy as its docs want it, built here; None without Go."""
    env = {**os.environ, "GOBIN": str(folder), "CGO_ENABLED": "0", "GOFLAGS": "-trimpath"}
    argv = ["go", "install", f"github.com/caddyserver/caddy/v2/cmd/caddy@v{CADDY}"]
    try:
        subprocess.run(argv, check=True, capture_output=True, env=env, cwd=folder)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"Debian's Caddy is used: {error}", file=sys.stderr)
        return None
    return folder / "caddy"


def with_traefik(compose: str) -> str:
    """A compose file with the page's service and labels for Traefik, on a port of its own."""
    page = (ROOT / "docs/zero-downtime.md").read_text(encoding="utf-8").partition("### Traefik")[2]
    theirs = yaml.safe_load(re.findall(r"```yaml.*?\n(.*?)```", page, re.S)[0])["services"]
    data = yaml.safe_load(compose)
    labels = theirs["app"]["labels"]
    labels["traefik.http.routers.app.rule"] = "PathPrefix(`/`)"
    data["services"]["app"]["labels"] = labels
    traefik = theirs["traefik"]
    traefik.update(image=IMAGE, pull_policy="never", depends_on=["app"], ports=["8090:80"])
    traefik["command"].insert(0, "traefik")
    traefik["volumes"].append(f"{TRAEFIK_AT}:/usr/bin/traefik:ro")
    data["services"]["traefik"] = traefik
    return json.dumps(data)


class Switches:
    """An app behind all proxies at once, each on a port that stays."""

    def __init__(self, app: App, caddy: Path | None, traefik: Path | None) -> None:
        self.app, self.host, self.traefik = app, app.hosts[0], traefik
        self.names = [*PROXIES, *(["traefik"] if traefik else [])]
        load(self.host)
        if traefik:
            docker("cp", str(traefik), f"{self.host.container}:{TRAEFIK_AT}")
        self.proxies = ""
        for number, name in enumerate(PROXIES):
            self.proxies += service(name).replace('"80"', f'"{8081 + number}:80"')
        if caddy:
            docker("cp", str(caddy), f"{self.host.container}:{CADDY_AT}")
            mount = f'volumes: ["{CADDY_AT}:/usr/bin/caddy:ro", "./Caddyfile'
            self.proxies = self.proxies.replace('volumes: ["./Caddyfile', mount)
        files = snippets()
        for name, text in files.items():  # for what is done by hand
            path = f"{app.folder}/{name}"
            self.host.root("sh", "-c", f"cat >{path} && chmod 644 {path}", stdin=text)
        app.checkout.commit("The proxies", files)

    def ours(self, tag: str) -> None:
        """A deploy of a new commit."""
        self.app.checkout.commit(f"For {tag}")
        done = self.app.deploy(tag)
        assert done.code == 0, done.output

    def by_hand(self, tag: str) -> None:
        """What people type on the host."""
        argv = f"docker compose -p {self.app.name} --project-directory . -f file.yml up -d --wait"
        self.host.sh(f"cd {self.app.name} && DEPLOY_TAG={tag} {argv} 2>&1")

    def again_and_again(self, order: str, deploy: Callable[[str], None], times: int) -> Found:
        """One deploy to begin with, and then some that a client sees."""
        compose = APP.format(order=order) + self.proxies
        if self.traefik:
            compose = with_traefik(compose)
        self.app.write(compose)
        path = f"{self.app.folder}/file.yml"
        self.host.root("sh", "-c", f"cat >{path} && chmod 644 {path}", stdin=compose)
        deploy("good1")
        seconds = []
        with client(self.app, *self.names) as seen:
            for number in range(times):
                started = time.monotonic()
                deploy(f"good{2 - number % 2}")
                seconds.append(time.monotonic() - started)
                print(f"{order} {deploy.__name__} {number + 1}: {seconds[-1]:.0f} s", flush=True)
        print(*(f"  {name}: {each}" for name, each in seen.items()), sep="\n", flush=True)
        return Found(times, statistics.median(seconds), seen)


def measure(times: int, traefik: Path | None = None) -> tuple[dict[str, Found], str]:
    """What was found by the name of the way, where it is no news that something is lost a quarter
    as often; the version of Caddy, if not Debian's."""
    fewer = max(1, times // 4)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        (folder / "fleet").mkdir()
        caddy = newer_caddy(folder)
        with fleet(folder / "fleet", 1) as (hosts, registry):
            switches = Switches(App(hosts, registry, folder), caddy, traefik)
            run = switches.again_and_again
            found = {
                "deploy, `order: start-first`": run("start-first", switches.ours, times),
                "deploy, without it": run("stop-first", switches.ours, fewer),
                "`docker compose up -d --wait`": run("stop-first", switches.by_hand, fewer),
            }
        return found, CADDY if caddy else ""


def section(times: int, traefik: Path | None = None) -> str:
    """What was found, in Markdown."""
    found, caddy = measure(times, traefik)
    names = {name: NAMES[name] for name in next(iter(found.values())).seen}
    text = f"""## What a client sees of a deploy

The table shows failed requests out of all requests and, in brackets, the longest period without any
answer. An app with two replicas is deployed repeatedly; it takes 5 s to boot, and 3 s to finish its
requests after SIGTERM. Meanwhile eight connections go through each of the
[proxies](zero-downtime.md#the-proxy), kept open and not, GET and POST, fast and slow; each sends
its next request 50 ms after an answer. Without `order: start-first` Compose recreates the proxies
too, since they depend on the app.
Caddy is {caddy or "Debian's"}, the others are Debian's.

| | deploys | seconds of one | {" | ".join(names.values())} |
| --- | --- | --- | {" | ".join("---" for _ in names)} |
"""
    for way, (deploys, seconds, seen) in found.items():
        cells = [way, str(deploys), f"{seconds:.0f}"]
        cells += [
            f"{each.gets + each.posts:,} of {each.asked:,} ({each.away:.1f} s)"
            for each in (seen[name] for name in names)
        ]
        text += f"| {' | '.join(cells)} |\n"
    return f"{text}\n"


def main() -> None:
    """Print what was found."""
    parser = argparse.ArgumentParser(prog="bench.switch", description=__doc__.splitlines()[0])
    parser.add_argument("--deploys", type=int, default=DEPLOYS)
    parser.add_argument("--traefik", type=Path, help="a Traefik 3")
    options = parser.parse_args()
    print(section(options.deploys, options.traefik))


if __name__ == "__main__":
    main()
