"""An app on Heroku, for other layers and commands: queries, runs, tasks, history.

The events of a deployment are in layers/providers/heroku/layer.py.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from ci_deploy.errors import DeployError, Problem, Refused, SettingsError, Unauthorized
from ci_deploy.layers.providers.backups import need
from ci_deploy.layers.providers.heroku import logs, release_tasks
from ci_deploy.layers.providers.heroku.api import Api, NotFound
from ci_deploy.layers.providers.heroku.app import PAUSE, App, State
from ci_deploy.layers.providers.heroku.backups import Capture
from ci_deploy.layers.providers.heroku.databases import Database, Databases
from ci_deploy.layers.providers.heroku.notes import Notes
from ci_deploy.layers.providers.heroku.one_off import OneOff
from ci_deploy.layers.providers.heroku.remote import Remote
from ci_deploy.layers.providers.heroku.settings import NAME, NAMES, AboutHeroku, HerokuSettings
from ci_deploy.layers.providers.methods import impossible_names
from ci_deploy.run.context import Context
from ci_deploy.run.notifications import counted
from ci_deploy.run.tasks import Task
from ci_deploy.settings.parsers import suggestion
from ci_deploy.state import Backup, Deployed, Live, ProcessAction, Ran

HISTORY = 20  # releases that `history` shows
# Commands that do not need the records of earlier runs.
WITHOUT_NOTES = {"run", "history", "logs", "backups", "restore"}


class HerokuApp(AboutHeroku):
    """What other layers and commands ask of the provider for Heroku, for the app of this run. Only
    `Heroku` (layer.py), which adds the handlers of the events, is instantiated. `begin` makes the
    objects for the app's parts (`app`, `remote`, `notes`, …), `connect` fetches its `state`."""

    name_limit = 30

    def __init__(self, ctx: Context, settings: HerokuSettings) -> None:
        super().__init__(ctx, settings)
        self.api = Api(ctx, settings.api, settings.key)
        self.state = State()
        self._branches: Mapping[str, str] | None = None
        self._unread: DeployError | None = None  # why the records could not be read
        self._config: Mapping[str, str] | None = None
        self._backed_up: Sequence[Database] | None = None  # once they are chosen

    def problems(self) -> Iterable[Problem]:
        yield from impossible_names(self.ctx.configured)
        if not re.fullmatch(NAME, self.ctx.settings.app_name):
            reason = f"`{self.ctx.settings.app_name}` is not a valid name of a Heroku app."
            remedy = f"It must have {NAMES}."
            yield Problem("APP_NAME", reason, "", remedy)
        if self.settings.method == "image":
            reason = "Heroku does not support `image`."
            yield Problem("DEPLOY_METHOD", reason, "", "Set `push` or `archive`, or unset it.")
        if self.settings.method == "push" and self.ctx.settings.app_dir:
            reason = "Heroku builds the root of a pushed repository, so APP_DIR needs an archive."
            yield Problem("DEPLOY_METHOD", reason, "", "Set `archive`, or unset it.")

    def begin(self) -> None:
        """Make the objects for this run's app; there is no connection to start."""
        ctx, settings, app = self.ctx, self.settings, self.ctx.app
        self.app = App(ctx, self.api, app)
        self.remote = Remote(ctx, settings.git, settings.key, app)
        self.notes = Notes(ctx, app, self.remote)
        data = Api(ctx, settings.data, settings.key)
        self.databases = Databases(self.api, data, app)
        self.one_off = OneOff(ctx, self.app.dynos, app, url=settings.api, key=settings.key)

    # --- the state of the app ---

    @property
    def exists(self) -> bool:
        return self.state.exists

    def connect(self) -> None:
        """Fetch the app's state (`state`, `ctx.before`, `ctx.url`), then the branches of its
        repository, which include the records of earlier runs. If the branches cannot be read, that
        is only a warning. Raises Unreachable, Unauthorized, Refused for a stack without slugs, and
        SettingsError when the app does not exist and the command cannot create it."""
        ctx = self.ctx
        self.state = self.app.look()
        ctx.before, ctx.url = self.state.live, self.state.live.url
        if not self.exists:
            if ctx.command in {*WITHOUT_NOTES, "doctor", "status"}:
                raise self.no_app()
            return
        if ctx.command != "destroy":
            self.app.check_stack(self.state)
        if ctx.command not in {*WITHOUT_NOTES, "destroy"}:
            try:
                self._branches = self.remote.branches()
            except DeployError as error:  # an archive does not need the branches; a push asks again
                ctx.console.warning(
                    f"pending tasks of earlier runs cannot be read: {error.message}"
                )
                self._unread = error
            self.notes.read(self._branches or ())
            self.app.parts = frozenset(self.notes.folders)

    def config(self) -> Mapping[str, str]:
        if self._config is None:
            self._config = self.app.config() if self.exists else {}
        return self._config

    def history(self) -> Sequence[Deployed]:
        return [
            Deployed(
                self.app.releases.commit(each.slug),
                each.at,
                each.status,
                each.name,
                f"{each.by}: {each.description}".strip(": "),
                each.status == "succeeded",
            )
            for each in self.app.releases.newest(HISTORY)
        ]

    def logs(self, service: str, *, lines: int, follow: bool) -> None:
        logs.show(self.ctx, self.api, service, lines=lines, follow=follow)

    # --- what other layers call ---

    def live(self) -> Live:
        return self.app.look_again().live

    def run(
        self,
        command: Sequence[str],
        *,
        what: str = "",
        env: Mapping[str, str] | None = None,
        timeout: float = float("inf"),
    ) -> Ran:
        what = what or f"run {' '.join(command)} in {self.ctx.app}"
        return self.one_off.run(command, what=what, env=env or {}, timeout=timeout)

    def process(self, name: str, action: ProcessAction, count: int | None = None) -> None:
        """Restart or scale the process type `name`. Heroku restarts stopped dynos, so to stop means
        to scale to 0; to start, to scale to `count` or 1."""
        app, dynos = self.ctx.app, self.app.dynos
        if action is ProcessAction.RESTART:
            dynos.restart(name, what=f"restart {name} of {app}")
            return
        number = {ProcessAction.STOP: 0, ProcessAction.START: count or 1}.get(action, count or 0)
        many = counted(range(number), "dyno")
        dynos.scale(name, number, what=f"{action} {name} of {app} ({many})")

    def restart(self, *, why: str) -> bool:
        app = self.app
        replaced = app.dynos.restart(what=f"restart the dynos of {app.name}: {why}")
        if not self.ctx.planning:
            until = time.monotonic() + self.settings.boot_timeout
            while not replaced() and time.monotonic() < until:
                self.ctx.cancellation.sleep(PAUSE)
            now = app.look_again()
            app.verify(now.live.revision, now.release, timeout=self.settings.boot_timeout)
        return True

    def processes(self) -> Mapping[str, int]:
        return self.app.dynos.wanted()

    def release_tasks(self) -> Mapping[str, str]:
        config: Mapping[str, str] = {}
        with contextlib.suppress(Unauthorized, NotFound):  # a key that may not read it
            config = self.config()
        return release_tasks.tasks(self.ctx, config)

    def check_backup(self) -> None:
        self._backed_up = self.capture.choose(self.settings.databases, self.config)

    def backup(self) -> None:
        if self._backed_up is None:
            self.check_backup()
        for each in self._backed_up or ():
            self.capture.take(each)

    @cached_property
    def capture(self) -> Capture:
        """Makes the backups of this run; first used when the live release is known."""
        return Capture(self.ctx, self.databases, since=self.state.release.at)

    def backups(self) -> Sequence[Backup]:
        return self.databases.kept()

    def restore(self, name: str) -> None:
        """Refuse, and show the commands: on Heroku a failed restore leaves the database incomplete,
        and the previous data cannot be restored, unlike on other providers. Raises Refused."""
        app = self.ctx.app
        wanted = need(name, self.databases.kept(), app)
        target = "DATABASE_URL" if "::" in name else wanted.service or "DATABASE_URL"
        restore = f"heroku pg:backups:restore {name} {target} -a {app}"
        message = f"{name} is not restored: on Heroku a restore that fails could not be undone."
        steps = (
            f"heroku maintenance:on -a {app}",
            f"heroku ps:scale -a {app} PROCESS=0   (each that writes)",
            f"heroku pg:backups:capture -a {app}",
            restore,
            f"heroku ps:scale -a {app} PROCESS=COUNT   (as before)",
            f"heroku maintenance:off -a {app}",
        )
        hint = "Restore it yourself, with the app stopped:\n" + "\n".join(
            f"  {step}" for step in steps
        )
        raise Refused(message, hint=hint)

    def note(self, tasks: Sequence[Task]) -> None:
        self.notes.set(tasks)

    def unfinished(self) -> Sequence[Task]:
        return self.notes.tasks

    def inspect(self) -> Mapping[str, str]:
        state = self.state
        team = f", team {state.team}" if state.team else ""
        return {
            "account": state.account or "unknown (perhaps the key lacks the scope `identity`)",
            "app": f"{state.region}, {state.stack}{team}",
            "git": self._unread.message if self._unread else "reachable",
            "maintenance mode": "on" if state.maintenance else "off",
            "requests left this hour": self.api.left or "unknown",
            "url": self.ctx.url,
        }

    @property
    def scale_command(self) -> str:
        return f"heroku ps:scale NAME=1 -a {self.ctx.app}"

    @property
    def check_command(self) -> str:
        return f"heroku releases -a {self.ctx.app}"

    def no_app(self) -> SettingsError:
        """The error for an app that does not exist, or that the key may not see; it suggests a
        similar name among the apps of the key's account."""
        app = self.ctx.app
        try:
            near = suggestion(app, (str(each["name"]) for each in self.api.get_list("/apps")))
        except DeployError:
            near = ""
        reason = f"there is no app `{app}` on Heroku for this key. {near}".rstrip()
        remedy = "If the name is right, give the key's account access to the app, or create it: "
        remedy += f"`heroku apps:create {app}`, or a deploy with HEROKU_CREATE_APP=true."
        return SettingsError(Problem("APP_NAME", reason, "", remedy))
