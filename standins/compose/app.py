"""An app to deploy: its checkout, its settings, and what the hosts really run of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from standins.dockerhosts import DockerHost, Registry
from standins.host_app import HostApp

LABEL = "label=com.docker.compose"
VERIFYING = "'inspect -f {{.Name}}|'*"  # what `docker` is called with then, for DockerHost.hold
# A look at its health costs a host 30 ms of its processors: often at first, then seldom.
SMALL = """
services:
  app:
    image: {image}:${{DEPLOY_TAG}}
    network_mode: none
    stop_grace_period: 3s
    healthcheck: {{test: ["CMD", "test", "-f", "/ok"], interval: 600ms, timeout: 2s, HEALTH}}
    env_file: .env
""".replace("HEALTH", "retries: 3, start_period: 300ms, start_interval: 100ms")
# A service with two containers, and one that does its task and ends.
WHOLE = f"""{SMALL}
    deploy: {{{{replicas: 2}}}}
  job:
    image: {{image}}:${{{{DEPLOY_TAG}}}}
    network_mode: none
    command: ["echo", "done"]
"""


def versions(containers: list[dict[str, Any]]) -> list[str]:
    """The VERSION of each that runs and is healthy."""
    return sorted(
        next(e for e in each["Config"]["Env"] if e.startswith("VERSION=")).split("=")[1]
        for each in containers
        if each["State"]["Running"]
        and each["State"].get("Health", {}).get("Status", "healthy") == "healthy"
    )


class App(HostApp):
    """One app on the hosts; `used` says how many of them."""

    def __init__(self, hosts: list[DockerHost], registry: Registry, path: Path) -> None:
        self.small = SMALL.format(image=registry.image)
        self.whole = WHOLE.format(image=registry.image)
        super().__init__("app", hosts, registry, path, self.small)
        self.folder = f"/home/deploy/{self.name}"
        self.used = 0
        self.use(1)

    def use(self, count: int) -> None:
        """Deploy to as many hosts from now on."""
        for host in self.hosts[self.used : count]:
            host.sh(f"mkdir {self.name} && touch {self.name}/.env")
        self.used = count

    def settings(self, tag: str = "good1", **more: str) -> dict[str, str]:
        hosts = self.hosts[: self.used]
        return {
            **self.access(hosts),
            "APP_NAME": self.name,
            "SERVER_HOST": " ".join(host.address for host in hosts),
            "DEPLOY_PATH": self.folder,
            "DEPLOY_TAG": tag,
            **more,
        }

    # --- what is there, asked by other means ---

    @property
    def state(self) -> str:
        """Our directory on a host."""
        return f"{self.folder}/.ci-deploy/apps/{self.name}"

    def containers(self, host: int = 0, service: str = "") -> list[dict[str, Any]]:
        """`docker inspect` of the project's containers, one-off ones left out."""
        one = f" --filter {LABEL}.service={service}" if service else ""
        found = self.hosts[host].root(
            "sh", "-c",
            f"docker inspect $(docker ps -aq --filter {LABEL}.project={self.name}"
            f" --filter {LABEL}.oneoff=False{one}) 2>/dev/null || true",
        )  # fmt: skip
        return list(json.loads(found or "[]"))

    def ids(self, host: int = 0) -> set[str]:
        """Their ids."""
        return {each["Id"] for each in self.containers(host)}

    def environ(self, service: str = "app") -> dict[str, str]:
        """The environment of a service's first container."""
        return dict(line.split("=", 1) for line in self.containers(0, service)[0]["Config"]["Env"])

    def versions(self, host: int = 0, service: str = "app") -> list[str]:
        """The VERSION of each container of a service that runs and is healthy."""
        return versions(self.containers(host, service))

    def read(self, path: str, host: int = 0) -> str:
        """A file of ours on a host; empty when there is none."""
        return self.hosts[host].root("cat", f"{self.state}/{path}", check=False)

    def current(self, host: int = 0) -> str:
        """The id of the release that is proven."""
        link = self.hosts[host].root("readlink", f"{self.state}/current", check=False)
        return link.strip().rpartition("/")[2]

    def audit(self, host: int = 0) -> list[dict[str, Any]]:
        """The audit log."""
        return [json.loads(line) for line in self.read("audit.jsonl", host).splitlines()]

    def outcomes(self, host: int = 0) -> list[str]:
        """How the runs have ended."""
        return [each["outcome"] for each in self.audit(host) if each["outcome"] != "started"]

    def newest(self, file: str, host: int = 0) -> str:
        """A file of the newest run."""
        script = f"cd {self.state}/runs && cat $(ls | tail -n 1)/{file}"
        return self.hosts[host].root("sh", "-c", script, check=False)

    def lose_patience(self, host: int = 0) -> None:
        """As if the newest run had waited for the job in vain, for all the time that it does."""
        self.hosts[host].root("sh", "-c", f"for b in {self.state}/runs/*/beat; do echo 0 >$b; done")

    def locked(self, host: int = 0) -> bool:
        """Whether somebody holds the lock."""
        path = f"{self.state}/lock"
        return "yes" in self.hosts[host].sh(f"test ! -e {path} || flock -n {path} true || echo yes")

    def settle(self, host: int = 0, seconds: float = 60.0) -> None:
        """Wait until no run goes on."""
        self.hosts[host].until(f"flock -n {self.state}/lock true", seconds)

    def runs(self, tag: str, count: int = 1, host: int = 0) -> None:
        """Exactly this is proven, healthy, and nothing is open."""
        script = (
            f"cd {self.state}; readlink current; cat pending 2>/dev/null; "
            "flock -w 30 lock true || echo locked"  # it clears up after it has told its end
        )
        state = self.hosts[host].root("sh", "-c", script, check=False)
        assert state.startswith(f"releases/{tag}-"), state
        assert len(state.splitlines()) == 1, state
        ours = self.containers(host, "app")
        assert versions(ours) == [tag] * count
        assert len(ours) == count

    def remove(self) -> None:
        """Leave nothing behind."""
        for each in self.started:
            each.process.kill()
            each.process.communicate()
        mine = f"$(docker ps -aq --filter {LABEL}.project={self.name})"
        for host in self.hosts[: self.used]:
            host.root(
                "sh", "-c",
                f"docker rm -fv {mine}; docker volume rm -f $(docker volume ls -q --filter "
                f"{LABEL}.project={self.name}); rm -rf {self.folder}",
                check=False,
            )  # fmt: skip
