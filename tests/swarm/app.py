"""An app to deploy to a real swarm, and what the engine really runs of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from standins.dockerhosts import DockerHost, Registry
from standins.host_app import HostApp

# The kernel of a test machine may lack IPVS, so no service has a virtual address (`dnsrr`).
HEAD = """
x-check: &check
  test: ["CMD", "test", "-f", "/ok"]
  interval: 400ms
  timeout: 5s
  retries: 2
  start_period: 400ms
  start_interval: 100ms
x-update: &update {order: start-first, parallelism: 2, failure_action: ACTION, monitor: 500ms}
services:
"""
SERVICE = """
  NAME:
    image: IMAGE:${DEPLOY_TAG}
    stop_grace_period: 2s
    healthcheck: *check
    deploy:
      endpoint_mode: dnsrr
      update_config: *update
      rollback_config: {parallelism: 2, monitor: 500ms}
      restart_policy: {delay: 500ms}
"""


def stack_file(image: str, *names: str, action: str = "rollback") -> str:
    """A compose file with services; by default one that is called `app`."""
    service = SERVICE.replace("IMAGE", image)
    services = (service.replace("NAME", name) for name in names or ("app",))
    return HEAD.replace("ACTION", action) + "".join(services)


class App(HostApp):
    """One app on the swarm of the tests."""

    def __init__(self, hosts: list[DockerHost], registry: Registry, path: Path) -> None:
        self.compose = stack_file(registry.image)
        super().__init__("st", hosts, registry, path, self.compose)

    def file(self, *names: str, action: str = "rollback") -> str:
        """A compose file with services; by default one that is called `app`."""
        return stack_file(self.registry.image, *names, action=action)

    def settings(self, tag: str = "good1", **more: str) -> dict[str, str]:
        return {
            **self.access(self.hosts),
            "DEPLOY_PROVIDER": "swarm",
            "APP_NAME": self.name,
            "SERVER_HOST": self.hosts[0].address,
            "DEPLOY_TAG": tag,
            **more,
        }

    # --- what is there, asked by other means ---

    def docker(self, *words: str, check: bool = True) -> str:
        """A docker command on the manager."""
        return self.hosts[0].root("/usr/bin/docker", *words, check=check)

    def service(self, name: str = "app") -> dict[str, Any]:
        """`docker service inspect`."""
        return dict(json.loads(self.docker("service", "inspect", f"{self.name}_{name}"))[0])

    def services(self) -> set[str]:
        """The services of the stack."""
        found = self.docker("stack", "services", "--format", "{{.Name}}", self.name, check=False)
        return {each.removeprefix(f"{self.name}_") for each in found.split()}

    def tags(self, name: str = "app") -> list[str]:
        """The tag of each task that runs and is meant to."""
        words = ["--filter", "desired-state=running", "--format", "{{.CurrentState}}|{{.Image}}"]
        lines = self.docker("service", "ps", *words, f"{self.name}_{name}").splitlines()
        running = (line for line in lines if line.startswith("Running"))
        return sorted(line.rpartition(":")[2].partition("@")[0] for line in running)

    def kept(self, kind: str = "config") -> list[str]:
        """Names of the configs or secrets of the stack."""
        label = f"label=com.ci-deploy.stack={self.name}"
        found = self.docker(kind, "ls", "--filter", label, "--format", "{{.Name}}")
        return sorted(found.split())

    def outcomes(self) -> list[str]:
        """How the runs have ended, the newest first."""
        return [each["status"] for each in json.loads(self.run("history", "--json").output)]

    def remove(self) -> None:
        """Leave nothing behind."""
        for each in self.started:
            each.process.kill()
            each.process.communicate()
        self.docker("stack", "rm", self.name, check=False)
        for kind in ("config", "secret"):
            if names := self.kept(kind):
                self.docker(kind, "rm", *names, check=False)
