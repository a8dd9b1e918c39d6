"""A server and what runs there, with a proxy in between, to run each command again and again."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from standins.dokku.server import DokkuStandIn
from standins.heroku.server import HerokuStandIn
from standins.support import ROOT, Checkout, Done, Run, settings_for, until
from tests.hostile import steps
from tests.hostile.identity import BETWEEN
from tests.hostile.judge import CODES, LONG, READS, Case, State, fault, problems
from tests.hostile.proxy import Effect, FaultProxy, Step

REVIEW = "hello-topic"
FEW, PROMOTION = 4, 12  # calls of a command that are disturbed; all those of a promotion
COMMANDS = ("deploy", "rollback", "plan", "history", "status", "destroy", "review")


class World(Protocol):
    """What is disturbed."""

    proxy: FaultProxy
    checkout: Checkout
    review: str  # name of the review app

    def env(self) -> dict[str, str]:
        """Settings that go through the proxy."""

    def state(self, app: str) -> State:
        """What the server has."""

    def busy(self) -> bool:
        """Whether something that was begun goes on there."""

    def steps(self, command: str, calls: int, /) -> dict[str, Step]:
        """The steps of a command that makes so many calls, by name."""

    def calls(self) -> int:
        """How many calls the server has had."""


class Dokku:
    """Real sshd and git in front of a stand-in."""

    review = REVIEW

    def __init__(self, server: DokkuStandIn, proxy: FaultProxy, checkout: Checkout) -> None:
        self.server, self.proxy, self.checkout = server, proxy, checkout

    def env(self) -> dict[str, str]:
        keys = self.server.known_hosts.replace(f":{self.server.port} ", f":{self.proxy.port} ")
        return settings_for(
            self.server,
            DOKKU_HOST=f"{self.server.user}@127.0.0.1:{self.proxy.port}",
            SSH_SERVER_HOSTKEYS=keys,
        )

    def state(self, app: str) -> State:
        view = self.server.app(app)
        if not view.exists:
            return State("", sorted(self.server.apps()), exists=False)
        return State(view.running_revision, [view.config, view.releases, self.server.apps()])

    def busy(self) -> bool:
        return any(self.server.app(name).locked for name in self.server.apps())

    def runs(self) -> str:
        """The commit that runs, empty when it has no process."""
        view = self.server.app("hello")
        return view.running_revision if view.running else ""

    @property
    def release(self) -> str:
        """The commit that is to run."""
        return self.checkout.head

    def calls(self) -> int:
        return len(self.server.calls())

    def steps(self, command: str, calls: int) -> dict[str, Step]:
        ssh, app = steps.Ssh(self.server), REVIEW if command == "review" else "hello"
        found = {
            "accept": steps.accept,
            "banner": steps.banner,
            "key exchange": steps.key_exchange,
            "auth": steps.auth,
            "channel": ssh.channel,
            **{f"answer {number}": ssh.answer(number) for number in _few(calls)},
        }
        if command in {"deploy", "review"}:
            found |= {
                "advertisement": ssh.advertisement,
                "pack": ssh.pack,
                "build": ssh.build,
                "report": ssh.report(app, lambda: self.checkout.head),
            }
        return found


@contextmanager
def heroku_job(folder: Path) -> Iterator[tuple[HerokuStandIn, Checkout, dict[str, str]]]:
    """The stand-in with an empty app, and the checkout and variables of a job that deploys it."""
    with HerokuStandIn(folder / "heroku") as server:
        server.create("hello")
        checkout = Checkout(folder / "checkout", {"Procfile": "web: sleep 600\n"})
        (folder / "home").mkdir()
        env = {
            "PATH": f"{ROOT / '.tools/bin'}:{os.environ['PATH']}",
            "HOME": str(folder / "home"),
            **server.settings(),
        }
        yield server, checkout, env


class Heroku:
    """The stand-in, over HTTP."""

    review = REVIEW

    def __init__(
        self, server: HerokuStandIn, proxy: FaultProxy, checkout: Checkout, folder: Path
    ) -> None:
        self.server, self.proxy, self.checkout, self.folder = server, proxy, checkout, folder
        self.server.pipeline("pipe", production="hello")
        self.url = f"http://127.0.0.1:{proxy.port}"
        self.server.platform.base = self.url

    def env(self) -> dict[str, str]:
        return {
            "PATH": f"{ROOT / '.tools/bin'}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.folder),
            **self.server.settings(self.url),
        }

    def state(self, app: str) -> State:
        with self.server.platform.lock:
            found = self.server.apps.get(app)
            if found is None:
                return State("", sorted(self.server.apps), exists=False)
            releases = [release.version for release in found.releases]
            rest = [json.dumps(found.config, sort_keys=True), releases, sorted(self.server.apps)]
            return State(found.running_revision, rest)

    def busy(self) -> bool:
        with self.server.platform.lock:
            apps = list(self.server.apps.values())
            building = any(build.status == "pending" for app in apps for build in app.builds)
            return building or any(
                each.status == "pending" for app in apps for each in app.releases
            )

    def calls(self) -> int:
        return len(self.server.calls)

    def steps(self, command: str, calls: int) -> dict[str, Step]:
        web, found = steps.Web(self.calls), {}
        for number in _few(calls, PROMOTION if command == "promote" else FEW):
            found[f"call {number}, connect"] = web.connect(number)
            found[f"call {number}, head"] = web.head(number)
            found[f"call {number}, body"] = web.body(number)
        return found


def _few(calls: int, count: int = FEW) -> list[int]:
    """So many of them: the first, the last, and some in between."""
    between = (1 + part * calls // (count - 1) for part in range(count - 1))
    return sorted({*between, max(1, calls)})


class Trial:
    """Disturbs one command of a world, judges it, and runs it again undisturbed."""

    def __init__(self, world: World, command: str) -> None:
        self.world, self.command = world, command
        self.app = world.review if command in {"review", "destroy"} else "hello"
        self._seed = random.Random(f"20261129 {command}")
        self._number = 0
        self.ready(again=False)
        before = world.calls()
        started = time.monotonic()
        self.sure(self.command)
        self.took = time.monotonic() - started  # seconds that it needs undisturbed
        self.count = world.calls() - before
        self.ready()

    def names(self) -> list[str]:
        """The steps that there are."""
        return list(self.world.steps(self.command, self.count))

    def run(self, *words: str, through: Sequence[str] = (), **more: str) -> Done:
        """A command, as a job of the branch `topic`."""
        return self.start(*words, through=through, **more).done(timeout=240)

    def start(self, command: str, *rest: str, through: Sequence[str] = (), **more: str) -> Run:
        """The same, not waited for."""
        checkout = self.world.checkout
        gitlab = {
            "GITLAB_CI": "true",
            "CI_PROJECT_DIR": str(checkout.path),
            "CI_COMMIT_SHA": checkout.head,
            "CI_COMMIT_REF_NAME": "topic",
            "CI_DEFAULT_BRANCH": "main",
        }
        env = {**self.world.env(), **gitlab, "REVIEW_APP_NAME": self.world.review, **more}
        if command not in {"review", "destroy"}:
            del env["REVIEW_APP_NAME"]
        return Run("ci-deploy", command, *rest, cwd=checkout.path, env=env, through=through)

    def sure(self, command: str) -> None:
        """A command, undisturbed."""
        done = self.run(command)
        assert done.code == 0, f"{command}: {done.output}{done.errors}"

    def settle(self) -> None:
        """Until the server has ended what was begun."""
        until(lambda: not self.world.busy(), 60, pause=0.2)

    def ready(self, *, again: bool = True) -> None:
        """Something to disturb: a commit to deploy, an app to remove, a release before."""
        if self.command == "destroy":
            if not self.world.state(self.app).exists:
                self.sure("review")
        elif self.command in {"deploy", "review", "plan"} and again:
            self.commit()
        elif not again:
            for _ in range(2 if self.command in {"rollback", "history"} else 1):
                self.commit()
                self.sure("deploy")
        if not again and self.command in {"deploy", "plan"}:
            self.commit()

    def commit(self) -> None:
        """Something new, with what takes a while to upload."""
        self._number += 1
        noise = self._seed.randbytes(60_000).hex()
        self.world.checkout.commit(f"Commit {self._number}", {"noise": noise})

    def disturb(self, step: str, effect: Effect, *, lasting: bool) -> list[str]:
        """What is wrong with how it took a fault of the connection."""
        proxy, case = self.world.proxy, fault(self.command, step, effect, lasting=lasting)
        steps_now = self.world.steps(self.command, self.count)
        struck = 0

        def act(words: Sequence[str]) -> Done:
            nonlocal struck
            proxy.arm(steps_now[step], effect, lasting=lasting, seed=self._number)
            done = self.run(*words, DEPLOY_TIMEOUT=f"{case.limit:.0f}")
            struck = proxy.struck
            return done

        found = self.attempt(case, act, met=lambda: bool(struck))
        return [f"{each}{'' if struck else ' (not met)'}" for each in found]

    def deceive(self, step: str, port: int) -> tuple[list[str], bool]:
        """What is wrong with how it took another server in the place of its own, from the first
        connection on (no step) or from the next one after a cut; whether it has met that."""
        proxy, said, deceived = self.world.proxy, "", 0
        when = f"after a cut at {step}" if step else "from the beginning"
        codes = CODES | {12} if step else frozenset({12})
        limit = 2 * LONG  # what is judged are words that need all of its questions
        case = Case(self.command, f"another server {when}", limit, lasting=True, codes=codes)

        def act(words: Sequence[str]) -> Done:
            nonlocal said, deceived
            proxy.replace(port, self.world.steps(self.command, self.count)[step] if step else None)
            done = self.run(*words, DEPLOY_TIMEOUT=f"{limit:.0f}")
            said, deceived = done.output + done.errors, proxy.deceived
            return done

        found = self.attempt(case, act, met=lambda: bool(deceived))
        if deceived and BETWEEN not in said:
            found.append(f"{case}: it does not say so\n{said}")
        return found, bool(deceived)

    def attempt(
        self, case: Case, act: Callable[[Sequence[str]], Done], met: Callable[[], bool]
    ) -> list[str]:
        """What is wrong with how the command took what `act` does to it, and with the next run;
        `met` tells whether the disturbance came."""
        world = self.world
        before = world.state(self.app)
        wanted = world.checkout.head
        if self.command == "rollback":
            wanted = self._previous(before.revision)
        if self.command == "destroy":
            wanted = ""
        self._number += 1
        words = ["rollback", wanted] if self.command == "rollback" else [self.command]
        done = act(words)
        busy = world.busy()
        undisturbed = not met()
        world.proxy.disarm()
        self.settle()
        found = problems(case, done, before, world.state(self.app), wanted, busy=busy)
        if undisturbed and done.code and done.seconds < case.limit - 1:
            found.append(f"exit code {done.code}, undisturbed")
        healed = self.run(*words)
        if healed.code:
            found.append(f"the next run: {healed.code}\n{healed.output}{healed.errors}")
        now = world.state(self.app)
        if self.command not in READS and (now.revision, now.exists) != (
            wanted,
            self.command != "destroy",
        ):
            found.append(f"not healed: {now}")
        self.ready()
        text = f"{done.output}{done.errors}\n{done.report}"
        return [f"{case}: {each}\n{text}" for each in found]

    def _previous(self, live: str) -> str:
        log = self.world.checkout.git("log", "--format=%H", "-2").split()
        return log[1] if log[0] == live else log[0]
