"""Deploy to a Dokku server with `git push`, and believe only what the server then reports."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from ci_deploy.context import Context
from ci_deploy.errors import (
    DeployFailed,
    OutcomeUnknown,
    Problem,
    SettingsError,
    SkipDeploy,
)
from ci_deploy.events import Event, on
from ci_deploy.layers.base import Live, ProcessAction, Provider, Ran
from ci_deploy.settings import setting, settings
from ci_deploy.tools.dokku import answers
from ci_deploy.tools.dokku.push import Push
from ci_deploy.tools.dokku.server import DokkuServer, one_off
from ci_deploy.tools.git import GitSettings
from ci_deploy.tools.server import Server, server
from ci_deploy.tools.ssh import Ssh, SshSettings
from ci_deploy.values import suggestion

NOTE = "CI_DEPLOY_UNFINISHED"  # config variable in which a run tells the next one what is left
UP_TIMEOUT = 60.0  # seconds until all processes of a deployed revision have to run


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
        self.dokku = DokkuServer(self.ssh, wanted.host, ctx.runner)
        self.branch = wanted.deploy_branch
        self.exists = True
        self._note = ""

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
        self.dokku.version = answers.version(version)
        self.exists = apps.exit_code == 0
        if not self.exists:
            return
        git_report = answers.report(git)
        known = (
            git_report.get(f"{kind}deploy branch", "") for kind in ("computed ", "", "global ")
        )
        self.branch = self.branch or next(filter(None, known), "master")
        self._note = note.text if note.exit_code == 0 else ""
        self.ctx.before = answers.live(apps, ps, urls)
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
        self.code = Push(self.ctx, self.dokku, self.settings, self.branch, self.live)
        self.code.prepare()

    @on(Event.PROVISION, priority=50)
    def create(self) -> None:
        """Create the app, when asked to."""
        if not self.exists:
            app = self.ctx.app
            self.dokku.change(["apps:create", app], what=f"create the app {app}")

    # --- the deploy ---

    @on(Event.DEPLOY)
    def deploy(self) -> None:
        """Bring the code there, then believe only what the server reports."""
        if self.code.run():
            self._verify()

    def _verify(self) -> None:
        """The server has to report this revision, with its processes up."""
        until = time.monotonic() + UP_TIMEOUT
        while True:
            live = self.live()
            if live.revision == self.ctx.revision and live.up:
                break
            if time.monotonic() > until or live.revision != self.ctx.revision:
                runs = live.revision[:7] or "no known revision"
                message = f"the server reports {runs} as deployed, with {live.detail}."
                raise DeployFailed(message, hint=f"`{self.check_command}` shows more.")
            self.ctx.cancellation.sleep(2.0)
        self.ctx.live = live
        self.ctx.console.indent(f"verified: {self.ctx.app} runs {live.revision[:7]}, {live.detail}")

    # --- what other layers call ---

    def live(self) -> Live:
        app = self.ctx.app
        apps, ps, urls = self.dokku.ask(["apps:report", app], ["ps:report", app], ["urls", app])
        return answers.live(apps, ps, urls)

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
        words = ["run", "--no-tty", *variables, app, *one_off(command)]
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
