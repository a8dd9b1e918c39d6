"""The review app of a branch in a swarm, and what is really there of it."""

from __future__ import annotations

import random
import signal

from standins.dockerhosts import DockerHost
from standins.support import Run
from tests.compose.reviewed import BRANCH, Reviewed
from tests.swarm.app import HEAD, SERVICE, App

# Its own volume, config and secret, and the network of a proxy.
MORE = """
    environment:
      SEEN_URL: "${REVIEW_URL:-}"
      SEEN_HOST: "${REVIEW_HOST:-none}"
      STAGE: "${STAGE:-}"
    volumes: ["log:/log"]
    networks: [default, proxy]
    configs: [{source: words, target: /words}]
    secrets: [key]
volumes: {log: }
networks: {proxy: {external: true, name: PROXY}}
configs: {words: {file: ./words.txt}}
secrets: {key: {environment: STAGE}}
"""


class ReviewedStack(Reviewed):
    """The review app of one branch of an app; its base app has no such file."""

    app: App  # type: ignore[assignment]

    def __init__(self, app: App, branch: str = BRANCH) -> None:
        super().__init__(app, branch)  # type: ignore[arg-type]

    @staticmethod
    def file(app: App, proxy: str, more: str = MORE) -> str:
        """The branch's compose file."""
        head = HEAD.replace("ACTION", "rollback")
        service = SERVICE.replace("NAME", "web").replace("IMAGE", app.registry.image)
        return head + service.rstrip() + more.replace("PROXY", proxy)

    def of(self, kind: str, host: DockerHost | None = None) -> list[str]:
        """Names of what has the label of the stack: `service`, `network`, `volume`, `container`."""
        listing = ["ps", "-a"] if kind == "container" else [kind, "ls"]
        name = "Names" if kind == "container" else "Name"
        label = f"label=com.docker.stack.namespace={self.name}"
        words = [*listing, "--filter", label, "--format", f"{{{{.{name}}}}}"]
        return (host or self.app.hosts[0]).root("/usr/bin/docker", *words).split()

    def kept(self) -> list[str]:
        """Names of its configs and secrets."""
        label = f"label=com.ci-deploy.stack={self.name}"
        words = ["ls", "--filter", label, "--format", "{{.Name}}"]
        return [e for kind in ("config", "secret") for e in self.app.docker(kind, *words).split()]

    def left(self, host: int = 0) -> str:
        """All that is there of it; empty for nothing."""
        found = [e for kind in ("service", "network", "volume") for e in self.of(kind)]
        files = self.app.hosts[host].sh(f"ls .ci-deploy | grep -F {self.name} || true").split()
        return " ".join([*found, *self.kept(), *files])

    def tags(self) -> list[str]:
        """The tag of each of its tasks that runs."""
        other = App.__new__(App)
        other.name, other.hosts = self.name, self.app.hosts
        return other.tags("web")

    def runs(self, tag: str) -> None:
        assert self.tags() == [tag]

    def strike(self, running: Run, choose: random.Random) -> None:  # noqa: ARG002
        running.signal(signal.SIGKILL)
