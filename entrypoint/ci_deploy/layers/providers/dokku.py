"""Deploy to a Dokku server with `git push`, and believe only what the server then reports."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from ci_deploy.context import Context
from ci_deploy.errors import (
    DeployFailed,
    Locked,
    OutcomeUnknown,
    Problem,
    Refused,
    SettingsError,
    SkipDeploy,
    Unreachable,
)
from ci_deploy.events import Event, on
from ci_deploy.layers.base import Live, ProcessAction, Provider, Ran
from ci_deploy.settings import setting, settings, suggestion
from ci_deploy.shell.runner import Result
from ci_deploy.tools import dokku
from ci_deploy.tools.git import SHA, GitSettings
from ci_deploy.tools.keys import Server, server
from ci_deploy.tools.ssh import Ssh, SshSettings

NOTE = "CI_DEPLOY_UNFINISHED"  # config variable in which a run tells the next one what is left
LOCK_PAUSE = 15.0  # seconds between two tries while somebody else deploys
UP_TIMEOUT = 60.0  # seconds until all processes of a deployed revision have to run
FOLLOW_TIMEOUT = 120.0  # seconds to follow a deploy to whose push the connection was lost


@settings
class DokkuSettings(SshSettings, GitSettings):
    """Settings of the Dokku server and of the app on it."""

    host: Server = setting(
        "DOKKU_HOST",
        "The Dokku server: `host`, `user@host:port` or `ssh://…`",
        example="dokku@dokku.example.com",
        parse=lambda text: server(text, user="dokku"),
    )
    deploy_branch: str = setting(
        "DOKKU_DEPLOY_BRANCH",
        "The branch that Dokku deploys",
        default="",
        default_help="what the server says",
        pattern=r"(?!-)[A-Za-z0-9._/-]+",
    )
    create_app: bool = setting(
        "DOKKU_CREATE_APP", "Create the app when it does not exist", default=False
    )


class Dokku(Provider[DokkuSettings]):
    """Dokku, the app platform on one's own server."""

    name = "dokku"
    Settings: ClassVar[type[Any]] = DokkuSettings
    trigger = "DOKKU_HOST"

    def __init__(self, ctx: Context, wanted: DokkuSettings) -> None:
        super().__init__(ctx, wanted)
        self.ssh = Ssh(ctx, wanted)
        self.dokku = dokku.DokkuServer(self.ssh, wanted.host, ctx.runner)
        self.branch = wanted.deploy_branch
        self.exists = True
        self._note = ""
        self._lines: list[str] = []

    def problems(self) -> Iterable[Problem]:
        return self.ssh.prepare()

    def begin(self) -> None:
        self.ssh.open(self.settings.host)

    # --- what is there ---

    def connect(self) -> None:
        """One round of questions over one connection tells all that a run has to know."""
        self.ssh.ready(self.settings.host)
        app = self.ctx.app
        version, apps, git, ps, urls, note = self.dokku.ask(
            ["version"],
            ["apps:report", app],
            ["git:report", app],
            ["ps:report", app],
            ["urls", app],
            ["config:get", app, NOTE],
        )
        self.dokku.version = dokku.version(version)
        self.exists = apps.exit_code == 0
        if not self.exists:
            return
        answers = dokku.report(git)
        known = (
            answers.get(f"{kind}deploy branch", "") for kind in ("computed ", "", "global ")
        )
        self.branch = self.branch or next(filter(None, known), "master")
        self._note = note.text if note.exit_code == 0 else ""
        self.ctx.before = self._live(apps, ps, urls)
        self.ctx.url = self.ctx.before.url

    @on(Event.CONFIGURE, priority=50)
    def look(self) -> None:
        """Look at the server and at the app before any git contact: that would create the app."""
        self.connect()
        if not self.exists and not self.settings.create_app:
            raise self._no_app()
        self.ctx.console.indent(
            f"{self.settings.host}: Dokku {'.'.join(map(str, self.dokku.version))}, "
            f"deploy branch {self.branch or 'master'}"
        )

    @on(Event.CONFIGURE, priority=200)
    def compare(self) -> None:
        """Decide whether there is anything to deploy."""
        before = self.ctx.before or Live()
        self.ctx.console.indent(f"live now: {before.revision[:7] or 'nothing that is known'}")
        same = before.revision == self.ctx.revision
        if same and before.up and not self.ctx.settings.redeploy:
            message = f"{self.ctx.app} already runs {self.ctx.revision[:7]}."
            raise SkipDeploy(message)
        if same and not before.up:
            self.ctx.console.indent("the revision is live, but not all of its processes run.")

    @on(Event.PROVISION, priority=50)
    def create(self) -> None:
        """Create the app, when asked to."""
        if not self.exists:
            app = self.ctx.app
            self.dokku.change(["apps:create", app], what=f"create the app {app}")

    # --- the deploy ---

    @on(Event.DEPLOY)
    def deploy(self) -> None:
        """Push (or build again what is there), then verify with the server."""
        before = self.ctx.before or Live()
        if before.revision == self.ctx.revision:
            result = self._rebuild("build and deploy the same revision again")
        else:
            result = self._push()
        if not result.planned:
            self._verify()

    def _push(self) -> Result:
        repository = self.ctx.repository
        repository.deepen()
        lease = self._lease((self.ctx.before or Live()).revision)
        until = time.monotonic() + self.ctx.settings.lock_timeout
        fetched = False
        while True:
            result = self._push_once(lease)
            if result.planned or result.exit_code == 0:
                break
            if self._said(dokku.LOCKED) and not self._said(dokku.DEPLOYED):
                self._wait_for_lock(until)
            elif self._said(dokku.REJECTED) and not fetched:
                fetched, lease = True, self._lease(self._server_ref())
            else:
                self._fail(result)
        if self._said(dokku.UP_TO_DATE):
            return self._rebuild("build what an earlier push has left, but not deployed")
        if not result.planned and not self._said(dokku.DEPLOYED):
            self._fail(result)
        return result

    def _push_once(self, lease: str | None) -> Result:
        sha, app = self.ctx.revision, self.ctx.app
        branch = self.branch or "master"
        how = "" if lease is None else f", replacing {lease[:7]}"
        self._lines.clear()
        return self.ctx.repository.push(
            self.settings.host.url(app),
            sha,
            branch,
            env=self.dokku.git_environ(),
            what=f"push {sha[:7]} to {branch} of {app}{how}",
            lease=lease,
            watch=self._lines.append,
        )

    def _rebuild(self, why: str) -> Result:
        self._lines.clear()
        app = self.ctx.app
        result = self.dokku.change(
            ["ps:rebuild", app], what=f"rebuild {app}: {why}", ok=None, watch=self._lines.append
        )
        if result.exit_code:
            self._fail(result)
        return result

    def _lease(self, live: str) -> str | None:
        """How our revision relates to the live one: None when it follows it, the SHA that may be
        replaced when it is allowed to. Raises Refused."""
        repository, new = self.ctx.repository, self.ctx.revision
        if not live or live == new:
            return None
        if not repository.has(live):
            live = self._server_ref() or live
        known = repository.has(live)
        if known and repository.is_ancestor(live, new):
            return None
        if known and repository.is_ancestor(new, live):
            if self.ctx.settings.refuse_outdated:
                message = f"{new[:7]} is older than {live[:7]}, which is live."
                raise Refused(message, hint="Unset REFUSE_OUTDATED to go back on purpose.")
            self.ctx.console.warning(
                f"{new[:7]} is older than {live[:7]}, which is live: going back."
            )
            return live
        if not self.settings.force_push:
            reason = "has diverged from" if known else "is not related, as far as can be seen, to"
            message = f"{new[:7]} {reason} {live[:7]}, which is live."
            hint = "Deploy a revision that contains it, or set FORCE_PUSH=true to replace it."
            raise Refused(message, hint=hint)
        self.ctx.console.warning(f"FORCE_PUSH: {live[:7]} is replaced by {new[:7]}.")
        return live

    def _server_ref(self) -> str:
        """What the app's own repository holds; fetched, so that histories can be compared."""
        return self.ctx.repository.fetch(
            self.settings.host.url(self.ctx.app),
            f"refs/heads/{self.branch or 'master'}",
            self.dokku.git_environ(),
        )

    def _wait_for_lock(self, until: float) -> None:
        """Somebody else deploys: wait, never unlock."""
        left = until - time.monotonic()
        if left <= 0:
            message = (
                f"another deploy of {self.ctx.app} has held its lock for more than "
                f"{self.ctx.settings.lock_timeout} s."
            )
            hint = f"See who it is: `ssh {self.settings.host.user}@{self.settings.host} "
            raise Locked(message, hint=f"{hint}apps:report {self.ctx.app}`.")
        self.ctx.console.indent(
            f"another deploy of {self.ctx.app} is running; {left:.0f} s left to wait"
        )
        self.ctx.cancellation.sleep(min(LOCK_PAUSE, left))

    def _fail(self, result: Result) -> None:
        """Say why, in the user's words. Always raises."""
        message, hint = dokku.reason(self._lines)
        lost = self._said(dokku.LOST) or result.exit_code == 255
        if not message and lost:
            self._follow(result)
        if not message:
            ended = "Dokku accepted the push, but deployed nothing."
            message = ended if result.exit_code == 0 else f"git push ended with {result.exit_code}."
        raise DeployFailed(message, hint=hint, lines=result.lines)

    def _follow(self, result: Result) -> None:
        """The connection was lost in the middle: see what becomes of the deploy."""
        self.ctx.console.indent("the connection was lost during the deploy; asking the server")
        until = time.monotonic() + FOLLOW_TIMEOUT
        while time.monotonic() < until:
            try:
                self.dokku.reconnect()
                live = self.live()
            except Unreachable:
                live = Live(busy=True)
            if live.revision == self.ctx.revision or not live.busy:
                break
            self.ctx.cancellation.sleep(3.0)
        message = "the connection was lost during the deploy."
        raise OutcomeUnknown(message, lines=result.lines)

    def _verify(self) -> None:
        """The server has to report this revision, with its processes up."""
        until = time.monotonic() + UP_TIMEOUT
        while True:
            live = self.live()
            if live.revision == self.ctx.revision and live.up:
                break
            if time.monotonic() > until or live.revision != self.ctx.revision:
                runs = live.revision[:7] or "nothing that is known"
                state = live.detail or "not all of its processes run"
                message = f"the server reports {runs} as deployed, {state}."
                raise DeployFailed(message, hint=f"`{self.check_command}` shows more.")
            self.ctx.cancellation.sleep(2.0)
        self.ctx.live = live
        self.ctx.console.indent(f"verified: {self.ctx.app} runs {live.revision[:7]}, {live.detail}")

    # --- what other layers call ---

    def live(self) -> Live:
        app = self.ctx.app
        apps, ps, urls = self.dokku.ask(["apps:report", app], ["ps:report", app], ["urls", app])
        return self._live(apps, ps, urls)

    def run(
        self,
        command: Sequence[str],
        *,
        what: str = "",
        env: Mapping[str, str] | None = None,
        timeout: float = float("inf"),
    ) -> Ran:
        app = self.ctx.app
        variables = [f"--env={key}={value}" for key, value in (env or {}).items()]
        words = ["run", "--no-tty", *variables, app, *dokku.one_off(command)]
        change = self.dokku.change_hidden if env else self.dokku.change
        what = what or f"run {' '.join(command)} in {app}"
        result = change(words, what=what, ok=None, timeout=timeout)
        if result.exit_code == 255 and not self.dokku.connected():
            message = f"{what}: the connection was lost, so its end is unknown."
            raise OutcomeUnknown(message, lines=result.lines)
        return Ran(result.exit_code, result.lines, result.planned)

    def process(self, name: str, action: ProcessAction, count: int | None = None) -> None:
        app = self.ctx.app
        words = [f"ps:{action}", app, name if count is None else f"{name}={count}"]
        number = "" if count is None else f" to {count}"
        self.dokku.change(words, what=f"{action} {name} of {app}{number}", timeout=600.0)

    def release_tasks(self) -> Mapping[str, str]:
        repository, sha = self.ctx.repository, self.ctx.revision
        folder = f"{self.ctx.settings.app_dir}/" if self.ctx.settings.app_dir else ""
        tasks = {}
        for line in repository.file(sha, f"{folder}Procfile").splitlines():
            name, _, command = line.partition(":")
            if name.strip() == "release":
                tasks["the Procfile's `release:`"] = command.strip()
        try:
            scripts = json.loads(repository.file(sha, f"{folder}app.json") or "{}")["scripts"][
                "dokku"
            ]
        except (ValueError, KeyError, TypeError):
            scripts = {}
        if isinstance(scripts, dict):
            tasks |= {f"app.json's `{name}`": str(command) for name, command in scripts.items()}
        return tasks

    def note(self, text: str) -> None:
        app = self.ctx.app
        if text:
            words = ["config:set", "--no-restart", "--encoded", app, f"{NOTE}={_encoded(text)}"]
            self.dokku.change(words, what=f"note on {app} what is unfinished: {text}", quiet=True)
        else:
            words = ["config:unset", "--no-restart", app, NOTE]
            self.dokku.change(words, what=f"remove the note from {app}", quiet=True)
        self._note = text

    def noted(self) -> str:
        return self._note

    def inspect(self) -> Mapping[str, str]:
        if not self.exists:
            raise self._no_app()
        return {
            "server": f"{self.settings.host}, Dokku {'.'.join(map(str, self.dokku.version))}",
            "deploy branch": self.branch,
            "url": self.ctx.url,
        }

    @property
    def check_command(self) -> str:
        where = self.settings.host
        port = "" if where.port == 22 else f"-p {where.port} "
        return f"ssh {port}{where.user}@{where.host} apps:report {self.ctx.app}"

    # --- reading answers ---

    def _live(self, apps: Result, ps: Result, urls: Result) -> Live:
        source, state = dokku.report(apps), dokku.report(ps)
        revision = source.get("deploy source metadata", "")
        if not SHA.fullmatch(revision):
            revision = ""
        counted = [value for key, value in state.items() if key.startswith("status ")]
        running = [value for value in counted if value.startswith("running")]
        down = [
            key
            for key, value in state.items()
            if key.startswith("status ") and value not in running
        ]
        up = state.get("running") == "true" or (bool(revision) and not counted)
        detail = f"{len(running)} of {len(counted)} processes up"
        if down:
            detail += f" (down: {', '.join(key.removeprefix('status ') for key in down)})"
        addresses = urls.text.split() if urls.exit_code == 0 else []
        secure = [url for url in addresses if url.startswith("https://")]
        return Live(
            revision=revision,
            up=up,
            url=next(iter(secure or addresses), ""),
            detail=detail,
            busy=source.get("locked") == "true",
        )

    def _said(self, pattern: Any) -> bool:
        return any(pattern.search(line) for line in self._lines)

    def _no_app(self) -> SettingsError:
        app = self.ctx.app
        listed = self.dokku.ask(["apps:list"])[0].text.split()
        near = suggestion(app, listed)
        reason = f"there is no app `{app}` on {self.settings.host}. {near}".rstrip()
        remedy = f"Create it there with `dokku apps:create {app}`, or set DOKKU_CREATE_APP=true."
        return SettingsError(Problem("APP_NAME", reason, "", remedy))


def _encoded(text: str) -> str:
    import base64

    return base64.b64encode(text.encode()).decode()
