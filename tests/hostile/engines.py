"""Docker hosts that are disturbed: real engines behind a real sshd. Their calls are the bytes that
they have said."""

from __future__ import annotations

from typing import Any

from standins.compose.app import App
from standins.compose.app import versions as running
from standins.dockerhosts import DockerHost
from standins.support import Checkout
from tests.hostile import steps
from tests.hostile.judge import State
from tests.hostile.proxy import FaultProxy, Step
from tests.hostile.worlds import REVIEW
from tests.swarm.app import App as Stack

SHARES = (0.1, 0.25, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99)
PATH = "/usr/local/bin:/usr/bin:/bin"
STEPS = 4 + len(SHARES)
WORKING = "docker.* (compose|stack) "  # what a script by hand may have left running there


class Host:
    """What Compose and a swarm have in common."""

    review = REVIEW

    def __init__(self, host: DockerHost, proxy: FaultProxy, checkout: Checkout) -> None:
        self.host, self.proxy, self.checkout = host, proxy, checkout
        self._tags: dict[str, str] = {}

    @property
    def release(self) -> str:
        """The same image for a commit, another one for the next."""
        return self._tags.setdefault(self.checkout.head, f"good{1 + len(self._tags) % 4}")

    @property
    def where(self) -> dict[str, str]:
        """Settings that lead through the proxy."""
        keys = self.host.known_hosts.split(maxsplit=1)[1]
        return {
            "PATH": PATH,
            "SERVER_HOST": f"127.0.0.1:{self.proxy.port}",
            "SSH_SERVER_HOSTKEYS": f"[127.0.0.1]:{self.proxy.port} {keys}",
        }

    def working(self) -> bool:
        """Whether a program that was started by hand goes on there."""
        return bool(self.host.root("pgrep", "-f", WORKING, check=False))

    def calls(self) -> int:
        return self.proxy.sent

    def steps(self, _command: str, calls: int) -> dict[str, Step]:
        told = steps.Told(self.calls, calls)
        found = {
            "accept": steps.accept,
            "banner": steps.banner,
            "key exchange": steps.key_exchange,
            "auth": steps.auth,
        }
        return {**found, **{f"{share:.0%} of its words": told.part(share) for share in SHARES}}


class Compose(Host):
    """A host with Compose."""

    def __init__(self, app: App, proxy: FaultProxy) -> None:
        super().__init__(app.hosts[0], proxy, app.checkout)
        self.app = app

    def env(self) -> dict[str, str]:
        return self.app.settings(self.release, **self.where)

    def state(self, _app: str) -> State:
        current = self.app.current()
        revisions = [each["revision"] for each in self.app.audit() if each["release"] == current]
        rest = [sorted(self.app.ids()), current, self.app.read("pending")]
        return State(revisions[-1] if revisions else "", rest)

    def busy(self) -> bool:
        starting = any(
            (each["State"].get("Health") or {}).get("Status") == "starting"
            for each in self.app.containers()
        )
        return self.app.locked() or self.working() or starting

    def runs(self) -> str:
        """The tag of which everything runs; empty for none, or more than that."""
        found = self.app.containers()
        return running(found)[0] if len(running(found)) == len(found) == 1 else ""


class Swarm(Host):
    """A swarm of one manager."""

    def __init__(self, app: Stack, proxy: FaultProxy) -> None:
        super().__init__(app.hosts[0], proxy, app.checkout)
        self.app = app
        self.review = f"{app.name}-topic"  # all workers of the tests share the engine

    def env(self) -> dict[str, str]:
        return self.app.settings(self.release, **self.where)

    def state(self, app: str) -> State:
        """A release is live when the tasks that run are those of the specification."""
        stack = self._stack(app)
        if "app" not in stack.services():
            return State("", stack.kept(), exists=False)
        service = stack.service()
        revision = service["Spec"]["Labels"].get("com.ci-deploy.revision", "")
        if stack.tags() != [self._tags.get(revision, "")]:
            revision = ""
        return State(revision, [service["Version"], stack.kept(), stack.services()])

    def busy(self) -> bool:
        return self.working() or any(map(self._moves, (self.app.name, self.review)))

    def runs(self) -> str:
        """The tag of which everything runs; empty for none, or more than that."""
        found = self.app.tags()
        return found[0] if len(found) == 1 else ""

    def _moves(self, app: str) -> bool:
        """Whether the engine, or a job that holds the lock, has something to do for a stack."""
        stack, lock = self._stack(app), f".ci-deploy/{app}.lock"
        if "yes" in self.host.sh(f"test ! -e {lock} || flock -n {lock} true || echo yes"):
            return True
        if "app" not in stack.services():
            return False
        service: dict[str, Any] = stack.service()
        state = (service.get("UpdateStatus") or {}).get("State", "")
        wanted = service["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
        tag = wanted.partition("@")[0].rpartition(":")[2]
        return state in {"updating", "rollback_started"} or stack.tags() != [tag]

    def _stack(self, app: str) -> Stack:
        """That of a review app is another one."""
        if app != self.review:
            return self.app
        other = Stack.__new__(Stack)
        other.name, other.hosts, other.started = self.review, self.app.hosts, []
        return other

    def remove(self) -> None:
        """Leave nothing behind."""
        for name in (self.review, self.app.name):
            self._stack(name).remove()
