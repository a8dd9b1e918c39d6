"""An app on Dokku, for other layers and commands: queries, runs, tasks, lock, history.

The events of a deployment are in layers/providers/dokku/layer.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from ci_deploy.errors import (
    DeployFailed,
    NoService,
    OutcomeUnknown,
    Problem,
    Refused,
    SettingsError,
    ToolMissing,
)
from ci_deploy.layers.providers.dokku import databases, release_tasks, review
from ci_deploy.layers.providers.dokku.app import BUILD_DIR, UNFINISHED, App, State
from ci_deploy.layers.providers.dokku.config_values import UNSTORABLE, unstorable
from ci_deploy.layers.providers.dokku.release_tasks import USUAL, Places, places
from ci_deploy.layers.providers.dokku.server import DokkuServer, named, one_off
from ci_deploy.layers.providers.dokku.settings import AboutDokku, DokkuSettings
from ci_deploy.layers.providers.methods import impossible_names
from ci_deploy.net.ssh.client import Ssh
from ci_deploy.run.context import Context
from ci_deploy.run.notifications import shorten
from ci_deploy.run.review_app import mark, marked
from ci_deploy.run.tasks import Task, dumped, in_words
from ci_deploy.settings.parsers import suggestion
from ci_deploy.state import Deployed, Live, ProcessAction, Ran

# The only words that reach the app unchanged before Dokku 0.34, which splits and unquotes the rest.
PLAIN = re.compile(r"[\w./:=,@%+-]+")


class DokkuApp(AboutDokku):
    """The app and its server. `state`: the app's last known state, empty until `connect`."""

    def __init__(self, ctx: Context, settings: DokkuSettings) -> None:
        super().__init__(ctx, settings)
        self.ssh = Ssh(ctx, settings, "`dokku ssh-keys:add ci-deploy KEY.pub`")
        self.server = DokkuServer(self.ssh, settings.host, ctx.runner)
        self.apps = App(self.server, ctx.redactor)
        self.state = State()
        self.promoted = ""  # the image that `promote` deploys

    def problems(self) -> Iterable[Problem]:
        yield from impossible_names(self.ctx.configured)
        yield from self.ssh.prepare()
        by_image = self.settings.method == "image" and self.ctx.command != "promote"
        if by_image and not self.settings.image:
            yield Problem("DOKKU_IMAGE", "is required with DEPLOY_METHOD=image.")
        for setting, config in self.ctx.configured.items():
            if names := unstorable(config):
                listed = ", ".join(f"`{name}`" for name in names)
                reason = f"Dokku cannot store the value of {listed} as it is."
                yield Problem(setting, reason, "", UNSTORABLE)

    def begin(self) -> None:
        self.ssh.open(self.settings.host)

    @property
    def exists(self) -> bool:
        return self.state.exists

    @property
    def branch(self) -> str:
        """The branch that Dokku deploys: DOKKU_DEPLOY_BRANCH, else the app's `deploy-branch`, else
        `master`."""
        return self.settings.deploy_branch or self.state.branch or "master"

    def config(self) -> Mapping[str, str]:
        return self.state.config

    def set_config(self, changes: Mapping[str, str]) -> None:
        app = self.ctx.app
        self.apps.set_and_check(app, changes, what=f"set {', '.join(sorted(changes))} on {app}")

    def lock_holder(self) -> str:
        app = self.ctx.app
        if not self.server.at_least(0, 38):
            return "locked; Dokku before 0.38 does not report by whom" if self.state.locked else ""
        if running := self.server.running_builds(app):
            return "; ".join(
                f"{b.get('source', 'a build')} since {b.get('started_at', 'an unknown time')}"
                f" (build {b.get('id', 'without a name')})"
                for b in running
            )
        stale = "locked, but Dokku lists no running build: the lock is stale, or was set manually"
        return stale if self.state.locked else ""

    def unlock(self) -> None:
        app = self.ctx.app
        self.server.change(["apps:unlock", app], what=f"unlock {app}")

    def history(self) -> Sequence[Deployed]:
        return [
            Deployed(each.get("revision", ""), each.get("at", ""), by=each.get("by", ""))
            for each in self.state.deployments
        ]

    def logs(self, service: str, *, lines: int, follow: bool) -> None:
        """Show the app's log. Raises NoService for an unknown process (`dokku logs` prints nothing
        for one and exits with 0), DeployFailed, SettingsError if the app does not exist."""
        app = self.ctx.app
        if not self.exists:
            raise self.no_app()
        known = {each.name.partition(" ")[0] for each in self.state.health.processes}
        if service and known and service not in known:
            raise NoService(app, service, known)
        which, on = (["-p", service] if service else []), (["-t"] if follow else [])
        shown = self.server.change(["logs", app, "-n", str(lines), *which, *on], what="", ok=None)
        if shown.exit_code:
            lost = self.server.lost(shown)
            why = "the connection was lost" if lost else f"exit code {shown.exit_code}"
            message = f"Dokku cannot show the log of {app} ({why})."
            raise DeployFailed(message, lines=shown.lines, shown=True)

    def rollback_target(self, wanted: str) -> str:
        repository, url = self.ctx.repository, self.settings.host.url(self.ctx.app)
        ref = f"refs/heads/{self.branch}"
        repository.fetch(url, ref, self.server.git_environ())
        if wanted:
            return repository.resolve(wanted)
        for entry in self.state.deployments:
            if entry["revision"] != self.state.live.revision:
                return entry["revision"]
        message = f"no release of {self.ctx.app} before the live one is recorded."
        raise Refused(message, hint="Name the revision: `ci-deploy rollback REVISION`.")

    # --- review apps ---

    def is_review_app(self) -> bool:
        if self.ctx.command == "review" and review.is_empty(self.state):
            return True  # created by a run that was killed before it could mark it
        return marked(self.state.config, self.ctx.reviewed.base)

    def adopt(self) -> None:
        app = self.ctx.app
        self.apps.set_config(app, mark(self.ctx.review), what=f"mark {app} as a review app")

    def destroy(self) -> None:
        review.destroy(self.server, self.ctx.app, self.ctx.console)

    def stale_review_apps(self, days: int) -> Sequence[str]:
        return review.stale(self.apps, self.server, self.ctx.app, days, self.ctx.console.warning)

    # --- what other layers call ---

    def reported(self) -> Live:
        """Ask what runs, according to the server and our records. Raises Unreachable, Unauthorized,
        DeployFailed."""
        return self.apps.look(self.ctx.app, self.state).live

    def live(self) -> Live:
        return self.reported()

    def run(
        self,
        command: Sequence[str],
        *,
        what: str = "",
        env: Mapping[str, str] | None = None,
        timeout: float = float("inf"),
    ) -> Ran:
        app = self.ctx.app
        self._check_words(command, env or {})
        variables = [f"--env={key}={value}" for key, value in (env or {}).items()]
        words = ["run", *variables, app, *one_off(command)]  # without -t there is no terminal
        change = self.server.change_hidden if env else self.server.change
        what = what or f"run {' '.join(command)} in {app}"
        result = change(words, what=what, ok=None, timeout=timeout)
        if self.server.lost(result):
            message = f"{what}: the connection was lost, so its result is unknown."
            hint = "The command may still be running: check that before you run it again."
            raise OutcomeUnknown(message, hint=hint, lines=result.lines)
        return Ran(result.exit_code, result.lines, result.planned)

    def _check_words(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        """Raise ToolMissing for a word, or a value of `env`, that a server before 0.34 would split
        or change. The message does not show values."""
        if self.server.at_least(0, 34):
            return
        odd = [shorten(repr(word), 60) for word in command if not PLAIN.fullmatch(word)]
        odd += [f"the value of {name}" for name, value in env.items() if not PLAIN.fullmatch(value)]
        if odd:
            what = f"a part of the command to run in {self.ctx.app}: {', '.join(odd)}."
            message = f"{named(self.server.version)} may change {what}"
            hint = (
                "Before Dokku 0.34 no word may be empty, or have other characters than letters, "
                "digits and `_./:=,@%+-`. Put the command into a script of the app, or update "
                "Dokku to 0.34."
            )
            raise ToolMissing(message, hint=hint)

    def process(self, name: str, action: ProcessAction, count: int | None = None) -> None:
        app = self.ctx.app
        if action is ProcessAction.RESTART:
            words, number = ["ps:restart", app, name], ""
        else:  # `ps:stop` and `ps:start` know no single process
            count = count if count is not None else int(action is ProcessAction.START)
            words, number = ["ps:scale", app, f"{name}={count}"], f" ({count})"
        self.server.change(words, what=f"{action} {name} of {app}{number}", timeout=600.0)

    def backup(self) -> None:
        """Export each linked database to a file in the job's workspace, before the migrations.
        Raises DeployFailed, OutcomeUnknown for a lost connection."""
        ctx = self.ctx
        made = databases.export(self.server, ctx.app, ctx.facts.workspace)
        ctx.report.backups += [f"{name}, in the checkout of this job only" for name in made]

    def release_tasks(self) -> Mapping[str, str]:
        return release_tasks.tasks(self.ctx, self._places)

    @cached_property
    def _places(self) -> Places:
        if not self.exists:
            return USUAL
        ours, folder = self.state.config.get(BUILD_DIR, "").split(), self.ctx.settings.app_dir
        return places(self.server, self.ctx.app, ours=ours, folder=folder)

    def note(self, tasks: Sequence[Task]) -> None:
        app, text = self.ctx.app, dumped(tasks)
        if text:
            what = f"record a pending task on {app}: {in_words(tasks)}"
            self.apps.set_config(app, {UNFINISHED: text}, what=what)
        else:
            self.apps.unset_config(app, UNFINISHED, what=f"remove the pending tasks of {app}")
        self.state = self.state._replace(config={**self.state.config, UNFINISHED: text})

    def unfinished(self) -> Sequence[Task]:
        return self.state.unfinished

    def inspect(self) -> Mapping[str, str]:
        if not self.exists:
            raise self.no_app()
        return {
            "server": f"{self.settings.host}, {named(self.server.version)}",
            "deploy branch": self.branch,
            "url": self.ctx.url,
        }

    @property
    def scale_command(self) -> str:
        return f"{self.settings.host.login} ps:scale {self.ctx.app} NAME=1"

    @property
    def check_command(self) -> str:
        return f"{self.settings.host.login} apps:report {self.ctx.app}"

    def no_app(self) -> SettingsError:
        """The error for an app that does not exist; it suggests a similar name on the server."""
        app = self.ctx.app
        near = suggestion(app, self.server.ask(["apps:list"])[0].text.split())
        reason = f"there is no app `{app}` on {self.settings.host}. {near}".rstrip()
        remedy = (
            f"Create it there with `dokku apps:create {app}`, or set DOKKU_CREATE_APP=true, with "
            "which `deploy` creates it."
        )
        return SettingsError(Problem("APP_NAME", reason, "", remedy))
