"""The interface of a provider, the platform that runs the app."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, NoReturn, TypeVar

from ci_deploy.errors import Refused, SkipDeploy
from ci_deploy.layers.base import Layer
from ci_deploy.layers.priorities import Configure, Provision
from ci_deploy.run.events import Event, on
from ci_deploy.run.tasks import Key, Task
from ci_deploy.state import Backup, Deployed, Live, ProcessAction, Ran

S = TypeVar("S")


class Provider(Layer[S]):
    """The platform that runs the app; exactly one is active.

    Other layers act on the app through the methods of this class only. Its handlers are common to
    all providers; the methods that they call are each provider's own.
    """

    order: ClassVar[int] = 0
    kind: ClassVar[str] = "provider"
    migrate: ClassVar[str] = "after"  # when migrations run unless MIGRATE says otherwise
    migrates: ClassVar[frozenset[str]] = frozenset({"after"})  # the values of MIGRATE it supports
    promotes_by_deploy: ClassVar[bool] = False  # if so, `promote` can run commands before traffic
    unlocks: ClassVar[bool] = True  # whether a lock may outlive the deploy that took it
    name_limit: ClassVar[int] = 63  # characters of an app's name

    @abstractmethod
    def connect(self) -> None:
        """Wait for the connection that `begin` has started, and check that we have access. Raises
        Unreachable, Unauthorized, ToolMissing, Refused, and SettingsError when the app does not
        exist."""

    def inspect(self) -> Mapping[str, str]:
        """Facts that `doctor` shows besides what is live: name → value. Raises DeployError."""
        return {}

    def check_deploy(self) -> None:
        """Check the revision or images that would be deployed; changes nothing. `doctor` calls it
        too. Raises SettingsError, Refused, ToolMissing, Unauthorized, DeployFailed."""

    @abstractmethod
    def live(self) -> Live:
        """Ask what runs now. Must be quick, since a cancelled run asks too. Raises DeployError."""

    @abstractmethod
    def run(
        self,
        command: Sequence[str],
        *,
        what: str = "",
        env: Mapping[str, str] | None = None,
        timeout: float = float("inf"),
    ) -> Ran:
        """Run a one-off command in the app's environment, with its output in the log.

        `what` describes the change in the log; `timeout` is in seconds. A non-zero exit code is
        returned, not raised. Raises OutcomeUnknown when the connection is lost, another DeployError
        when the command cannot start.
        """

    @abstractmethod
    def process(self, name: str, action: ProcessAction, count: int | None = None) -> None:
        """Start, stop, restart or scale (to `count`) one process type of the app. Raises NoService,
        DeployFailed, OutcomeUnknown."""

    def restart(self, *, why: str) -> bool:
        """Restart all processes of the app and wait until they are up; `why` is for the log. False
        if it only warns, as here, for Docker hosts: a restart of all would stop databases too.
        Raises DeployFailed, OutcomeUnknown."""
        advice = "Restart them."
        if "before" in self.migrates:
            advice += " With MIGRATE=before, migrations run before the release starts."
        self.ctx.console.warning(f"{why}, and may use the old schema. {advice}")
        return False

    def processes(self) -> Mapping[str, int]:
        """The app's process types: name → how many are wanted; empty when unknown."""
        return {}

    def release_tasks(self) -> Mapping[str, str]:
        """The commands that the platform runs by itself at a deploy: where configured → command."""
        return {}

    # --- tasks, kept by the provider: what this run or the next has to finish
    def note(self, tasks: Sequence[Task]) -> None:
        """Replace the tasks that are kept for the app (run/tasks.py has the format)."""

    def unfinished(self) -> Sequence[Task]:
        """The tasks that are kept: what this run or an interrupted one has yet to finish."""
        return ()

    def _noted(self) -> list[Task]:
        return [task for task in self.unfinished() if task.key != Key.RESTORE]

    def remember(self, *tasks: Task) -> None:
        """Record `tasks` on the app, besides those that it has; called before they begin."""
        noted = self._noted()
        if new := [task for task in tasks if task not in noted]:
            self.note([*noted, *new])

    def forget(self, *tasks: Task) -> None:
        """Remove finished `tasks` from the app's record; does nothing if it has none of them."""
        noted = self._noted()
        if set(tasks) & set(noted):
            self.note([task for task in noted if task not in tasks])

    # --- common to all providers ---

    @property
    @abstractmethod
    def exists(self) -> bool:
        """Whether the app exists; known after `connect`."""

    @on(Event.CONFIGURE, Configure.CONNECT)
    def look(self) -> None:
        """Call `connect`, which also fetches the app's state (`exists`, `ctx.before`)."""
        self.connect()

    @on(Event.CONFIGURE, Configure.GUARD)
    def guard_review_app(self) -> None:
        """Refuse to treat an app as a review app that this tool has not created as one."""
        if (review := self.ctx.review) and not self.exists:
            return review.check_branch(self.ctx.command, self.ctx.facts, self.ctx.repository)
        if not review or self.is_review_app():
            return None
        app, yes = self.ctx.app, self.ctx.arguments.get("yes")
        if self.ctx.arguments.get("adopt") and yes:
            self.ctx.console.indent(f"adopting it as a review app: {self._what()}")
            return self.adopt()
        message = f"{app} exists, but ci-deploy did not create it as a review app of {review.base}."
        again = f"`ci-deploy {self.ctx.command} --adopt --yes`"
        raise Refused(message, hint=f"It is {self._what()}. To adopt it as a review app: {again}.")

    def _what(self) -> str:
        runs = (self.ctx.before or Live()).revision[:7] or "no known release"
        return f"an app that runs {runs}{f' at {self.ctx.url}' if self.ctx.url else ''}"

    @on(Event.CONFIGURE, Configure.TARGET)
    def choose_target(self) -> None:
        """For `rollback`, choose the release to go back to."""
        if self.ctx.command != "rollback":
            return
        self.ctx.choose(self.rollback_target(self.ctx.arguments.get("revision", "")))
        if self.is_back():
            raise SkipDeploy(f"{self.ctx.app} already runs {self.target_name}.")
        self.ctx.console.indent(f"rolling back to {self.target_name}")

    @on(Event.ROLLBACK)
    def bring_back(self) -> None:
        """Roll back to the chosen release, and verify that it runs."""
        self.roll_back(self.ctx.revision)

    @on(Event.DESTROY)
    def remove(self) -> None:
        """Remove the review app."""
        if self.exists or self.ctx.sweeping:
            return self.destroy()
        return self.ctx.console.indent(f"{self.ctx.app} does not exist: nothing to remove.")

    @on(Event.PROMOTE)
    def advance(self) -> None:
        """Deploy the source app's release to this app. Raises Refused if the provider cannot."""
        self.promote()

    def interrupted(self) -> None:
        """After a cancel, stop or undo what this run has begun on the server, or log what goes on
        there; by default nothing. Raises DeployError."""

    # --- provision: the app first, then its config, then its services ---

    @on(Event.PROVISION, Provision.CONFIG)
    def configure_app(self) -> None:
        """Set the variables of APP_CONFIG that differ; the values are never shown."""
        if changes := self.config_changes():
            self.set_config(changes)

    def config_changes(self) -> dict[str, str]:
        """The variables to set: those wanted that the app lacks or has with another value."""
        now = self.config() if (wanted := self.wanted_config()) else {}
        return {key: value for key, value in wanted.items() if now.get(key) != value}

    def wanted_config(self) -> Mapping[str, str]:
        """The variables that the app should have, name → value; others stay."""
        return self.ctx.app_config

    def config(self) -> Mapping[str, str]:
        """The app's present variables: name → value; secret values are hidden from the log."""
        self._cannot("set the app's config")

    def set_config(self, changes: Mapping[str, str]) -> None:
        """Set the variables `changes` all at once, without showing values in log and argv."""
        self._cannot("set the app's config")

    # --- what only some providers support; by default Refused is raised ---

    def rollback_target(self, wanted: str) -> str:
        """The full SHA to roll back to: that of the release `wanted`, or, if it is empty, of the
        previous release. Raises Refused, SettingsError."""
        self._cannot("roll back")

    @property
    def target_name(self) -> str:
        """The name of the rollback's target, for the log."""
        return self.ctx.revision[:7]

    def is_back(self) -> bool:
        """Whether the target of the rollback is live already."""
        live = self.ctx.before or Live()
        return live.up and live.revision == self.ctx.revision

    def roll_back(self, revision: str) -> None:
        """Roll back to a revision that was live before, and verify it (`ctx.verified`). Raises
        DeployFailed, OutcomeUnknown, Refused."""
        self._cannot("roll back")

    def is_review_app(self) -> bool:
        """Whether the app has our mark as a review app of this run's base app (its name does not
        matter), or is the empty app of a `review` that was killed before marking it."""
        self._cannot("have review apps")

    def adopt(self) -> None:
        """Mark the app, which ci-deploy has not created, as a review app."""
        self._cannot("have review apps")

    def destroy(self) -> None:
        """Remove the review app, with its services."""
        self._cannot("have review apps")

    def stale_review_apps(self, days: int) -> Sequence[str]:
        """The names of this base app's review apps that were not deployed for `days` days."""
        self._cannot("have review apps")

    def lock_holder(self) -> str:
        """Who holds the app's lock, and since when, in words; empty when it is free."""
        self._cannot("release a lock")

    def unlock(self) -> None:
        """Release the lock, whoever holds it."""
        self._cannot("release a lock")

    def before_undoing(self) -> None:
        """Called before migrations are undone: forget any record that they ran."""

    def check_backup(self) -> None:
        """Check that `backup` can work, before anything is changed. Raises SettingsError."""

    def backup(self) -> None:
        """Dump the databases before migrations. Raises DeployFailed, SettingsError, Refused."""
        self._cannot("export a database")

    def backups(self) -> Sequence[Backup]:
        """The dumps that are kept for the app, newest first."""
        self._cannot("list backups")

    def restore(self, name: str) -> None:
        """Restore a dump while the app is stopped, then start it again. Raises DeployError."""
        self._cannot("restore a backup")

    def promote(self) -> None:
        """Deploy the release that the source app runs to this app, without building it."""
        self._cannot("promote")

    def history(self) -> Sequence[Deployed]:
        """What was live when, newest first, as far as the platform records it."""
        self._cannot("list what was live when")

    def logs(self, service: str, *, lines: int, follow: bool) -> None:
        """Show the last `lines` lines of the log of `service` (empty: of all); with `follow`, also
        new ones until the job ends. Raises NoService, DeployFailed, Unreachable."""
        self._cannot("show the app's log")

    def _cannot(self, what: str) -> NoReturn:
        raise Refused(f"ci-deploy cannot {what} on {self.name}.")

    @property
    def rollback_command(self) -> str:
        """The command by which a person rolls back to the previous release."""
        return "ci-deploy rollback"

    @property
    def host_names(self) -> Sequence[str]:
        """The hosts that `{host}` in a URL stands for; empty for a provider without hosts."""
        return ()

    @property
    def scale_command(self) -> str:
        """The command by which a person starts a process that is scaled to 0; empty for none."""
        return ""

    @property
    def check_command(self) -> str:
        """The command by which a person sees what is live."""
        return "ci-deploy status"
