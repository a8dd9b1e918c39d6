"""An app on a Dokku server: its state, its config, and what we record on it.

Dokku keeps no history of releases and no tasks, so four config variables of the app hold ours:
pending tasks, the history, the mark of a review app, and the build directory that this tool has
set. They are set without a restart and mean nothing to the app.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ci_deploy.errors import DeployError, DeployFailed
from ci_deploy.layers.providers.dokku import answers, notes, processes
from ci_deploy.layers.providers.dokku.config_values import encoded, refused
from ci_deploy.layers.providers.dokku.processes import Health
from ci_deploy.layers.providers.dokku.server import DokkuServer
from ci_deploy.output.redaction import Redactor
from ci_deploy.process.program import Change, Result
from ci_deploy.run import tasks
from ci_deploy.run.review_app import MARK
from ci_deploy.run.tasks import Task
from ci_deploy.settings import SECRET_CONFIG_KEY
from ci_deploy.settings.lines import from_json
from ci_deploy.settings.parsers import NOTHING
from ci_deploy.state import Deployed, Live

UNFINISHED = "CI_DEPLOY_UNFINISHED"
HISTORY = "CI_DEPLOY_HISTORY"
BUILD_DIR = "CI_DEPLOY_BUILD_DIR"
OURS = (UNFINISHED, HISTORY, MARK, BUILD_DIR)
METHODS = {  # deploy source → deploy method
    "git-push": "push", "docker-image": "image", "tar": "archive", "tar.gz": "archive",
    "zip": "archive",
}  # fmt: skip
REMEMBERED = 10  # deployments kept in the history


class State(NamedTuple):
    """The state of an app as the server reported it; by default, of an app that does not exist."""

    exists: bool = False
    live: Live = Live()
    branch: str = ""
    locked: bool = False
    skip_deploy: bool = False  # whether builds are not deployed
    health: Health = Health()
    recorded: str = ""  # the revision that Dokku records as deployed
    source: str = ""  # its deploy source: git-push, docker-image, …
    identity: str = ""  # the server's name for its code: a commit or an image
    folder: str | None = None  # the directory of the repository that was built; None: unknown
    updated: int = 0  # Unix time of its last code, or of its creation; 0: unknown
    config: Mapping[str, str] = NOTHING

    @property
    def containers(self) -> frozenset[str]:
        """The ids of the containers that get the traffic."""
        return self.health.containers

    @property
    def settled(self) -> bool:
        """Whether Dokku records the revision that runs."""
        return self.recorded == self.live.revision

    @property
    def method(self) -> str:
        """The method of the last deploy: push, archive, image, or else the deploy source."""
        return METHODS.get(self.source, self.source)

    @property
    def unfinished(self) -> tuple[Task, ...]:
        """The recorded tasks: what this run or an earlier one has yet to do."""
        return tasks.loaded(self.config.get(UNFINISHED, ""))

    @property
    def deployments(self) -> list[dict[str, str]]:
        """The history that we have recorded (`with_deployment` has the keys), newest first."""
        try:
            found = from_json(self.config.get(HISTORY, "[]"))
        except ValueError:
            return []
        entries = found if isinstance(found, list) else []
        return [each for each in entries if isinstance(each, dict) and "revision" in each]


class App:
    """Queries the server about apps, and sets and unsets their config variables."""

    def __init__(self, server: DokkuServer, redactor: Redactor) -> None:
        self._server = server
        self._redactor = redactor

    def survey(
        self, name: str, *more: Sequence[str], urls: bool = True
    ) -> tuple[State, list[Result]]:
        """The app's complete state, from one round of queries, and the answers to the queries
        `more`. Its URL is asked for with `urls` (slow), else our record's. Raises DeployError."""
        wanted = [["urls", name]] if urls else []
        apps, git, inspect, skips, config, *rest = self._server.ask(
            ["apps:report", name],
            ["git:report", name],
            ["ps:inspect", name],
            ["ps:report", name, "--ps-skip-deploy"],
            ["config:export", name, "--format", "json"],
            *wanted,
            *more,
        )
        if answers.absent(apps, f"the app {name}"):
            return State(), rest[len(wanted) :]
        source = answers.report(apps)
        base = _kept(answers.report(git), State(config=self.config(config, name)))
        created = source.get("created at", "")
        base = base._replace(
            skip_deploy=skips.text.strip() == "true",
            updated=base.updated or (int(created) if created.isdecimal() else 0),
        )
        url = answers.address(_urls(rest[0])) if urls else self._noted_url(name, base)
        base = base._replace(live=Live(url=url))
        state = self._state(name, source, self._health(name, inspect), base)
        return state, rest[len(wanted) :]

    def look(self, name: str, before: State, beside: Change | None = None) -> State:
        """What runs now; the rest of the state is that of `before`. The change `beside` is made in
        parallel. Raises Unreachable, Unauthorized, DeployFailed."""
        new = [] if before.exists else [["git:report", name]]  # it was created meanwhile
        apps, inspect, *rest = self._server.ask(
            ["apps:report", name], ["ps:inspect", name], *new, beside=beside
        )
        answers.absent(apps, f"the app {name}")  # an error is no answer
        before = _kept(answers.report(rest[0]), before) if new else before
        return self._state(name, answers.report(apps), self._health(name, inspect), before)

    def glance(self, name: str, before: State) -> State:
        """Like `look`, for the seconds after a cancel: the revision first, which the server answers
        at once; the state of the processes only if that answer comes in time."""
        told = self._server.ask(["apps:report", name])[0]
        answers.absent(told, f"the app {name}")
        source = answers.report(told)
        before = before._replace(exists=True)
        health, busy = Health(known=False), source.get("locked") == "true"
        with contextlib.suppress(DeployError):
            busy = self._busy(name, source)
            health = self._health(name, self._server.ask(["ps:inspect", name])[0])
        return self._state(name, source, health, before, busy=busy)

    def url(self, name: str) -> str:
        """Fetch the app's URL; empty if it has none, or the server does not tell."""
        return answers.address(_urls(self._server.ask(["urls", name])[0]))

    def _noted_url(self, name: str, state: State) -> str:
        noted = next(iter(state.deployments), {}).get("url")
        return self.url(name) if noted is None else noted

    def _health(self, name: str, inspect: Result) -> Health:
        """The health of the processes. Asks more only if Docker's answer is not enough: an app
        without processes is healthy only if its scale wants none."""
        if found := processes.inspected(inspect):
            return Health(found)
        ps = self._server.ask(["ps:report", name])[0]
        health, state = processes.reported(ps), answers.report(ps)
        if state.get("processes") == "0" and state.get("deployed") == "true":
            scale = self._server.ask(["ps:scale", name])[0]
            none = answers.wants_none(scale)
            return health._replace(lacking=not none, idle=none)
        return health

    def _busy(self, name: str, source: Mapping[str, str]) -> bool:
        """Whether a deployment is in progress. (The lock is not enough: a failed build leaves
        it.)"""
        if source.get("locked") != "true":
            return False
        words = ["builds:list", name, "--format", "json", "--status", "running"]
        listed = self._server.ask(words)[0]
        return listed.exit_code != 0 or bool(answers.builds(listed))  # Dokku < 0.38 has none

    def set_config(self, name: str, changes: Mapping[str, str], *, what: str) -> Result:
        """Set variables without a restart, hidden (`change_hidden`). Raises like that."""
        pairs = [f"{key}={encoded(value)}" for key, value in changes.items()]
        words = ["config:set", name, "--no-restart", "--encoded", *pairs]
        done = self._server.change_hidden(words, what=what, quiet=True, ok=None)
        if done.exit_code:  # its output is not shown: it quotes other variables' values
            raise refused(f"Dokku did not set {', '.join(changes)}", name, done, wrote=True)
        return done

    def set_and_check(self, name: str, changes: Mapping[str, str], *, what: str) -> None:
        """Set variables (`set_config`) and read them back. Raises DeployFailed if they differ."""
        done = self.set_config(name, changes, what=what)
        if done.planned:
            return
        now = self.read_config(name)
        if wrong := [f"`{key}`" for key, value in changes.items() if now.get(key) != value]:
            message = f"the server stored values that differ from those sent: {', '.join(wrong)}."
            raise DeployFailed(
                message, hint="Dokku cannot store these values as they are: encode them."
            )

    def read_config(self, name: str) -> Mapping[str, str]:
        """The app's variables, fetched anew. Raises DeployFailed when they cannot be read."""
        return self.config(self._server.ask(["config:export", name, "--format", "json"])[0], name)

    def unset_config(self, name: str, *keys: str, what: str) -> None:
        """Remove the variables `keys` without a restart. Raises DeployFailed, OutcomeUnknown."""
        words = ["config:unset", name, "--no-restart", *keys]
        done = self._server.change(words, what=what, quiet=True, ok=None)
        if done.exit_code:
            raise refused(f"Dokku did not unset {', '.join(keys)}", name, done, wrote=True)

    def config(self, answer: Result, name: str) -> Mapping[str, str]:
        """Parse the app's variables; those that look like secrets are hidden from now on.

        Raises DeployFailed when the server cannot read them: treating them as empty would lose our
        records, and Dokku would deploy the app without any process.
        """
        if answer.exit_code:
            raise refused("Dokku cannot read the config", name, answer)
        try:
            found = from_json(answer.out or b"{}") or {}
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise refused("Dokku did not print JSON for the config", name, answer)
        for key, value in found.items():
            if SECRET_CONFIG_KEY.search(key) and key not in OURS:
                self._redactor.add(str(value))
        return {str(key): str(value) for key, value in found.items()}

    def _state(
        self,
        name: str,
        source: Mapping[str, str],
        health: Health,
        base: State,
        *,
        busy: bool | None = None,
    ) -> State:
        """The state from the reports, with what `base` contains already."""
        metadata, kind = source.get("deploy source metadata", ""), source.get("deploy source", "")
        image = kind == "docker-image"
        commit = base.identity
        if kind and not image and not answers.revision(metadata):
            commit = self._server.ref(name, base.branch)  # the report names HEAD, of any branch
        state = base._replace(
            locked=source.get("locked") == "true",
            source=kind,
            identity=metadata if image else commit,
            health=health,
        )
        revision = "" if image else answers.revision(metadata)
        last = next(iter(state.deployments), {})
        if not revision:  # an archive or an image: what we recorded, if it is still the same
            revision = last.get("revision", "") if last.get("as") == state.identity else ""
        ours = last.get("revision") == revision and last.get("way") == state.method
        folder = last.get("dir") if ours else None
        live = Live(
            revision=notes.running(base.unfinished, revision, health.containers),
            up=health.up,
            url=base.live.url,
            detail=health.detail,
            busy=self._busy(name, source) if busy is None else busy,
            unchecked=not health.known,
            idle=health.idle,
        )
        return state._replace(live=live, recorded=revision, folder=folder)


def _kept(repository: Mapping[str, str], base: State) -> State:
    """Add what `git:report` says of the app's repository on the server."""
    kinds = ("computed deploy branch", "deploy branch", "global deploy branch")
    updated = repository.get("last updated at", "")
    return base._replace(
        exists=True,
        branch=next(filter(None, (repository.get(key, "") for key in kinds)), "master"),
        identity=repository.get("sha", ""),
        updated=int(updated) if updated.isdecimal() else 0,
    )


def _urls(answer: Result) -> list[str]:
    return answer.text.split() if answer.exit_code == 0 else []


def with_deployment(
    state: State,
    entry: Deployed,
    *,
    method: str,
    folder: str,
    identity: str = "",
    url: str | None = None,
) -> str:
    """The new value of CI_DEPLOY_HISTORY: JSON, newest first, with `entry` and what is needed to
    deploy it again. `identity`: the server's name of an upload, a commit or an image."""
    new = {"revision": entry.revision, "at": entry.at, "by": entry.by, "way": method, "dir": folder}
    if url is not None:
        new["url"] = url
    if identity:
        new["as"] = identity
    return json.dumps([new, *state.deployments][:REMEMBERED])
