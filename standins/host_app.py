"""What apps on Docker hosts and on swarms have in common: a checkout, and runs of ci-deploy."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from pathlib import Path

from standins.dockerhosts import PASSWORD, USER, DockerHost, Registry, places
from standins.support import Checkout, Done, Run, run

FILE = "docker-compose.production.yml"


class HostApp(ABC):
    """An app in a checkout, which is deployed to hosts from a registry."""

    def __init__(
        self, name: str, hosts: list[DockerHost], registry: Registry, path: Path, compose: str
    ) -> None:
        """`name` is the beginning of the app's name; `compose` the text of its compose file."""
        self.name = f"{name}{secrets.token_hex(3)}"
        self.program = "ci-deploy"
        self.started: list[Run] = []
        self.hosts = hosts
        self.registry = registry
        self.checkout = Checkout(path / "checkout", {FILE: compose})

    @abstractmethod
    def settings(self, tag: str = "good1", **more: str) -> dict[str, str]:
        """What a deploy of a tag needs."""

    def access(self, hosts: list[DockerHost]) -> dict[str, str]:
        """The settings for connecting to these hosts and to the registry."""
        return {
            "SERVER_USER": "deploy",
            "DOCKER_REGISTRY": self.registry.address,
            "DOCKER_USER": USER,
            "DOCKER_PASS": PASSWORD,
            "SSH_PRIVATE_KEY": hosts[0].key,
            "SSH_SERVER_HOSTKEYS": "\n".join(host.known_hosts for host in hosts),
        }

    def write(self, compose: str, **files: str) -> None:
        """Commit another compose file, and other files (`config__yml` is `config.yml`)."""
        named = {name.replace("__", "."): text for name, text in files.items()}
        self.checkout.commit("Change the compose file", {FILE: compose, **named})

    def start(self, tag: str = "good1", **more: str) -> Run:
        """Begin a deploy."""
        return self._start("deploy", env=self.settings(tag, **more))

    def deploy(self, tag: str = "good1", **more: str) -> Done:
        """Deploy to the end."""
        return self.start(tag, **more).done(timeout=300)

    def start_command(self, *words: str, **more: str) -> Run:
        """Begin another command."""
        return self._start(*words, env=self.settings(**more))

    def run(self, *words: str, **more: str) -> Done:
        """Another command, to its end."""
        return run(self.program, *words, cwd=self.checkout.path, env=self.settings(**more))

    def _start(self, *words: str, env: dict[str, str]) -> Run:
        self.started.append(Run(self.program, *words, cwd=self.checkout.path, env=env))
        return self.started[-1]

    @property
    def places(self) -> dict[str, str]:
        """What varies in a log → what a golden page shows."""
        return places(self.name, self.hosts, self.registry)
