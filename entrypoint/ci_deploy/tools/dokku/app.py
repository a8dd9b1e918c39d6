"""An app on a Dokku server: what is known of it, its config, and what we note on it.

Dokku keeps no history of releases and has no place for notes, so four config variables of the app
hold ours: what is unfinished, what was deployed, that it is a review app, and which directory is
built since this tool has said so. They are set without a restart and mean nothing to the app.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ci_deploy.errors import DeployFailed
from ci_deploy.layers.provider import Deployed, Live
from ci_deploy.settings import SECRET_CONFIG_KEY
from ci_deploy.shell.program import Change, Result
from ci_deploy.shell.redaction import Redactor
from ci_deploy.tools.dokku import answers, notes
from ci_deploy.tools.dokku.server import DokkuServer
from ci_deploy.values import NOTHING

UNFINISHED = "CI_DEPLOY_UNFINISHED"
HISTORY = "CI_DEPLOY_HISTORY"
REVIEW = "CI_DEPLOY_REVIEW_APP"
BUILD_DIR = "CI_DEPLOY_BUILD_DIR"
OURS = (UNFINISHED, HISTORY, REVIEW, BUILD_DIR)
WAYS = {  # the deploy source → the way
    "git-push": "push", "docker-image": "image", "tar": "archive", "tar.gz": "archive",
    "zip": "archive",
}  # fmt: skip
REMEMBERED = 10  # deployments in the history


class State(NamedTuple):
    """An app as the server describes it."""

    exists: bool = False
    live: Live = Live()
    branch: str = ""
    locked: bool = False
    skip_deploy: bool = False  # a build is not deployed
    containers: frozenset[str] = frozenset()  # ids of those that get the traffic
    recorded: str = ""  # the revision that Dokku itself says is deployed
    source: str = ""  # how its code came: git-push, docker-image, …
    identity: str = ""  # what the server calls that code: a commit or an image
    folder: str | None = None  # of the repository, that was built; None: not known
    updated: int = 0  # seconds since 1970 of its last code, or of its creation; 0: not known
    config: Mapping[str, str] = NOTHING

    @property
    def settled(self) -> bool:
        """What Dokku records is what runs."""
        return self.recorded == self.live.revision

    @property
    def way(self) -> str:
        """How its code came: push, archive, image, or the server's own word."""
        return WAYS.get(self.source, self.source)

    @property
    def deployments(self) -> list[dict[str, str]]:
        """Our history of it, newest first."""
        try:
            found = json.loads(self.config.get(HISTORY, "[]"))
        except ValueError:
            return []
        entries = found if isinstance(found, list) else []
        return [each for each in entries if isinstance(each, dict) and "revision" in each]


class App:
    """One app: asks and changes it."""

    def __init__(self, server: DokkuServer, redactor: Redactor) -> None:
        self._server = server
        self._redactor = redactor

    def survey(self, name: str, *more: Sequence[str]) -> tuple[State, list[Result]]:
        """Everything about the app in one round, and the answers to `more` questions."""
        apps, git, ps, urls, config, *rest = self._server.ask(
            ["apps:report", name],
            ["git:report", name],
            ["ps:report", name],
            ["urls", name],
            ["config:export", "--format", "json", name],
            *more,
        )
        if apps.exit_code:
            return State(), rest
        return self._state(name, apps, git, ps, urls, self.config(config, name)), rest

    def look(self, name: str, config: Mapping[str, str]) -> State:
        """The short form: what runs now. `config` is what an earlier survey has told."""
        apps, git, ps, urls = self._server.ask(
            ["apps:report", name],
            ["git:report", name],
            ["ps:report", name],
            ["urls", name],
        )
        return self._state(name, apps, git, ps, urls, config)

    def pushed(self, name: str, before: State, beside: Change | None = None) -> Live:
        """The shortest form, for after a push: then the deploy source's metadata is a commit."""
        questions = [["apps:report", name], ["ps:report", name], ["urls", name]]
        apps, ps, urls, *_ = self._server.ask(*questions, beside=beside)
        source = answers.report(apps)
        revision = answers.revision(source.get("deploy source metadata", ""))
        if not revision:
            return self.look(name, before.config).live
        return self._live(name, revision, source, ps, urls)

    def _live(
        self, name: str, revision: str, source: Mapping[str, str], ps: Result, urls: Result
    ) -> Live:
        """What runs. Asks more only where the reports leave it open: a failed build leaves the lock
        behind, and no process at all is right only where none is wanted."""
        busy, none_wanted = source.get("locked") == "true", True
        if busy:
            words = ["builds:list", name, "--format", "json", "--status", "running"]
            listed = self._server.ask(words)[0]
            busy = listed.exit_code != 0 or bool(answers.builds(listed))  # Dokku < 0.38 has none
        state = answers.report(ps)
        if state.get("processes") == "0" and state.get("deployed") == "true":
            none_wanted = answers.wants_none(self._server.ask(["ps:scale", name])[0])
        return answers.live(revision, ps, urls, busy=busy, none_wanted=none_wanted)

    def set_config(self, name: str, changes: Mapping[str, str], *, what: str) -> Result:
        """Set variables without a restart: values byte for byte, and in no argv of ours."""
        pairs = [f"{key}={encoded(value)}" for key, value in changes.items()]
        words = ["config:set", "--no-restart", "--encoded", name, *pairs]
        done = self._server.change_hidden(words, what=what, quiet=True, ok=None)
        if done.exit_code:  # its words are kept to ourselves: they quote other variables' values
            raise refused(f"Dokku refuses to set {', '.join(changes)}", name, done)
        return done

    def set_and_check(self, name: str, changes: Mapping[str, str], *, what: str) -> None:
        """The same, and see that the server gives back what was set. Raises DeployFailed."""
        done = self.set_config(name, changes, what=what)
        if done.planned:
            return
        now = self.read_config(name)
        if wrong := [key for key, value in changes.items() if now.get(key) != value]:
            message = f"the server holds other values than it was given: {', '.join(wrong)}."
            raise DeployFailed(message, hint="Dokku cannot store every value: encode these.")

    def read_config(self, name: str) -> Mapping[str, str]:
        """The app's variables, asked anew. Raises DeployFailed when the server cannot read them."""
        return self.config(self._server.ask(["config:export", "--format", "json", name])[0], name)

    def unset_config(self, name: str, *keys: str, what: str) -> None:
        """Remove variables without a restart."""
        words = ["config:unset", "--no-restart", name, *keys]
        done = self._server.change(words, what=what, quiet=True, ok=None)
        if done.exit_code:
            raise refused(f"Dokku refuses to unset {', '.join(keys)}", name, done)

    def config_of(self, name: str) -> Mapping[str, str]:
        """The variables of another app. Raises DeployFailed."""
        return self.config(self._server.ask(["config:export", "--format", "json", name])[0], name)

    def config(self, answer: Result, name: str) -> Mapping[str, str]:
        """The app's variables; those that look like secrets are hidden from now on.

        Raises DeployFailed when the server cannot read them: to go on as if there were none would
        lose our notes, and Dokku would deploy the app without any process.
        """
        if answer.exit_code:
            raise refused("Dokku cannot read its config", name, answer)
        try:
            found = json.loads(answer.out)
        except ValueError:
            return {}
        if not isinstance(found, dict):
            return {}
        for key, value in found.items():
            if SECRET_CONFIG_KEY.search(key) and key not in OURS:
                self._redactor.add(str(value))
        return {str(key): str(value) for key, value in found.items()}

    def _state(
        self,
        name: str,
        apps: Result,
        git: Result,
        ps: Result,
        urls: Result,
        config: Mapping[str, str],
    ) -> State:
        source, repository = answers.report(apps), answers.report(git)
        kinds = ("computed deploy branch", "deploy branch", "global deploy branch")
        metadata, kind = source.get("deploy source metadata", ""), source.get("deploy source", "")
        image = kind == "docker-image"
        branch = next(filter(None, (repository.get(key, "") for key in kinds)), "master")
        commit = repository.get("sha", "")
        updated = repository.get("last updated at", "") or source.get("created at", "")
        if kind and not image and not answers.revision(metadata):
            commit = self._server.ref(name, branch)  # what the report names is HEAD, of any branch
        state = State(
            exists=True,
            branch=branch,
            locked=source.get("locked") == "true",
            skip_deploy=answers.report(ps).get("skip deploy") == "true",
            source=kind,
            identity=metadata if image else commit,
            updated=int(updated) if updated.isdecimal() else 0,
            config=config,
        )
        revision = "" if image else answers.revision(metadata)
        last = next(iter(state.deployments), {})
        if not revision:  # an archive or an image: what we have noted of it, if it is still that
            revision = last.get("revision", "") if last.get("as") == state.identity else ""
        ours = last.get("revision") == revision and last.get("way") == state.way
        containers = answers.containers(ps)
        runs = notes.running(config.get(UNFINISHED, ""), revision, containers)
        live = self._live(name, runs, source, ps, urls)
        folder = last.get("dir") if ours else None
        return state._replace(live=live, recorded=revision, containers=containers, folder=folder)


def with_deployment(
    state: State, entry: Deployed, *, way: str, folder: str, identity: str = ""
) -> str:
    """Our history with one deployment more, all that it takes to bring the same again; `identity`
    is the server's name of an upload."""
    new = {"revision": entry.revision, "at": entry.at, "by": entry.by, "way": way, "dir": folder}
    if identity:
        new["as"] = identity
    return json.dumps([new, *state.deployments][:REMEMBERED])


def unstorable(values: Mapping[str, str]) -> list[str]:
    """Names of values that Dokku does not give back as they were: its ENV file loses a `"` at the
    end, cannot be read after a `\\` at the end, and makes numbers of what looks like one."""
    return [name for name, value in values.items() if value.endswith(('"', "\\")) or _odd(value)]


def _odd(value: str) -> bool:
    number = re.fullmatch(r"[+-]?[0-9]{1,19}", value) is not None
    return "\0" in value or (number and str(int(value)) != value)


def refused(message: str, app: str, done: Result) -> DeployFailed:
    """An error about the config without the server's words, which hold values."""
    words = "\n".join(done.lines) + done.errors
    if re.search(r"unterminated quoted value|unexpected character|zero length string", words):
        hint = (
            "The app's file of variables is broken, and Dokku cannot mend it: as root there,"
            f' correct the value that ends in `"` or a backslash in /home/dokku/{app}/ENV, until '
            f"`dokku config:export {app}` works again."
        )
        return DeployFailed(f"{message}: that of {app} cannot be parsed.", hint=hint)
    hint = "Its words are not shown, for they may hold values of variables."
    return DeployFailed(f"{message} of {app} (exit code {done.exit_code}).", hint=hint)


def encoded(text: str) -> str:
    """A value as `config:set --encoded` takes it."""
    return base64.b64encode(text.encode()).decode()
