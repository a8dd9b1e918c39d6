"""What a provider is: the platform that runs the app, and what the others may ask of it."""

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

    Other layers talk to it through `run` and `process` only. The handlers of this class are the
    same for all providers; what they call is theirs.
    """

    order: ClassVar[int] = 0
    kind: ClassVar[str] = "provider"
    migrate: ClassVar[str] = "after"  # when migrations run unless MIGRATE says otherwise
    migrates: ClassVar[frozenset[str]] = frozenset({"after"})  # what it can do
    promotes_by_deploy: ClassVar[bool] = False  # so that commands before traffic are possible
    unlocks: ClassVar[bool] = True  # a lock may outlive the deploy that has taken it
    name_limit: ClassVar[int] = 63  # characters of an app's name

    @abstractmethod
    def connect(self) -> None:
        """Wait for the connection that `begin` has started and check that we are let in.

        Raises Unreachable, Unauthorized, and SettingsError when the app does not exist.
        """

    def inspect(self) -> Mapping[str, str]:
        """What `doctor` shows beside what is live: fact → value."""
        return {}

    def check_deploy(self) -> None:
        """What a deploy checks before its first change. Raises SettingsError, Refused."""

    @abstractmethod
    def live(self) -> Live:
        """Ask what runs now; short, for a cancelled run asks it too. Raises DeployErrors."""

    @abstractmethod
    def run(
        self,
        command: Sequence[str],
        *,
        what: str = "",
        env: Mapping[str, str] | None = None,
        timeout: float = float("inf"),
    ) -> Ran:
        """Run a one-off command in the app's environment, its output in the log.

        `what` is the change in words. A non-zero exit code is returned, not raised. Raises
        OutcomeUnknown when the connection is lost.
        """

    @abstractmethod
    def process(self, name: str, action: ProcessAction, count: int | None = None) -> None:
        """Start, stop, restart or scale one process of the app. Raises CommandFailed."""

    def processes(self) -> Mapping[str, int]:
        """The app's processes and how many of each are wanted; empty when it cannot be known."""
        return {}

    def release_tasks(self) -> Mapping[str, str]:
        """What the platform runs by itself at a deploy: where it is written → the command."""
        return {}

    # --- notes survive the run on the provider's side: what this one or the next has to finish
    def note(self, tasks: Sequence[Task]) -> None:
        """Keep these tasks on the app, and no others (run/tasks.py has the form)."""

    def unfinished(self) -> Sequence[Task]:
        """The tasks that are kept; those that an earlier run has left were never finished."""
        return ()

    def _noted(self) -> list[Task]:
        return [task for task in self.unfinished() if task.key != Key.RESTORE]

    def remember(self, *tasks: Task) -> None:
        """Note tasks before they are begun."""
        noted = self._noted()
        if new := [task for task in tasks if task not in noted]:
            self.note([*noted, *new])

    def forget(self, *tasks: Task) -> None:
        """Tasks are finished."""
        noted = self._noted()
        if set(tasks) & set(noted):
            self.note([task for task in noted if task not in tasks])

    # --- the same for all providers ---

    @property
    @abstractmethod
    def exists(self) -> bool:
        """Whether the app is there; known after `connect`."""

    @on(Event.CONFIGURE, Configure.CONNECT)
    def look(self) -> None:
        """Look at the app and at what runs there."""
        self.connect()

    @on(Event.CONFIGURE, Configure.GUARD)
    def guard_review_app(self) -> None:
        """An app that this tool has not made as a review app is never touched as one."""
        if (review := self.ctx.review) and not self.exists:
            return review.check_branch(self.ctx.command, self.ctx.facts, self.ctx.repository)
        if not review or self.is_review_app():
            return None
        app, yes = self.ctx.app, self.ctx.arguments.get("yes")
        if self.ctx.arguments.get("adopt") and yes:
            self.ctx.console.indent(f"taken as a review app: {self._what()}")
            return self.adopt()
        message = f"{app} exists, but this tool has not made it as a review app of {review.base}."
        again = f"`ci-deploy {self.ctx.command} --adopt --yes`"
        raise Refused(message, hint=f"It is {self._what()}. If it is a review app: {again}.")

    def _what(self) -> str:
        runs = (self.ctx.before or Live()).revision[:7] or "no known release"
        return f"an app that runs {runs} at {self.ctx.url or 'no address'}"

    @on(Event.CONFIGURE, Configure.TARGET)
    def choose_target(self) -> None:
        """The release to go back to."""
        if self.ctx.command != "rollback":
            return
        self.ctx.revision = self.rollback_target(self.ctx.arguments.get("revision", ""))
        if self.is_back():
            raise SkipDeploy(f"{self.ctx.app} already runs {self.ctx.revision[:7]}.")
        self.ctx.console.indent(f"going back to {self.ctx.revision[:7]}")

    @on(Event.ROLLBACK)
    def bring_back(self) -> None:
        """Go back, and verify it."""
        live = self.roll_back(self.ctx.revision)
        self.ctx.live = self.ctx.live if self.ctx.planning else live

    @on(Event.DESTROY)
    def remove(self) -> None:
        """Remove the review app."""
        self.destroy()

    @on(Event.PROMOTE)
    def advance(self) -> None:
        """Bring the source app's release here; a provider that cannot says so."""
        self.promote()

    def interrupted(self) -> None:
        """The user has cancelled: stop what this run has started there, and nothing else's."""

    # --- provision: the app first, then its config, then its services ---

    @on(Event.PROVISION, Provision.CONFIG)
    def configure_app(self) -> None:
        """Set what differs of APP_CONFIG; the values are never shown."""
        if changes := self.config_changes():
            self.set_config(changes)

    def config_changes(self) -> dict[str, str]:
        """What differs between the config that is wanted and the app's."""
        now = self.config() if (wanted := self.wanted_config()) else {}
        return {key: value for key, value in wanted.items() if now.get(key) != value}

    def wanted_config(self) -> Mapping[str, str]:
        """The config that is wanted."""
        return self.ctx.app_config

    def config(self) -> Mapping[str, str]:
        """The app's config as it is; the values are hidden from the log at once."""
        self._cannot("set the app's config")

    def set_config(self, changes: Mapping[str, str]) -> None:
        """Set these variables in one release, without their values in any log or argv of ours."""
        self._cannot("set the app's config")

    # --- what only some providers can ---

    def rollback_target(self, wanted: str) -> str:
        """The full SHA to go back to: of the release before, or the one `wanted`; or Refused."""
        self._cannot("roll back")

    def is_back(self) -> bool:
        """Whether the target of the rollback is what runs already."""
        live = self.ctx.before or Live()
        return live.up and live.revision == self.ctx.revision

    def roll_back(self, revision: str) -> Live:
        """Go back to a revision that was live before, and verify it. Raises DeployFailed."""
        self._cannot("roll back")

    def is_review_app(self) -> bool:
        """Whether this tool has made the app as a review app (a mark on it, not its name)."""
        self._cannot("have review apps")

    def adopt(self) -> None:
        """Mark an app as a review app."""
        self._cannot("have review apps")

    def destroy(self) -> None:
        """Remove the review app and its services; one that is not there is as good as removed."""
        self._cannot("have review apps")

    def stale_review_apps(self, days: int) -> Sequence[str]:
        """Review apps of this base app that were not deployed for `days`."""
        self._cannot("have review apps")

    def lock_holder(self) -> str:
        """Who holds the app's lock and since when, in words; empty when it is free."""
        self._cannot("be unlocked")

    def unlock(self) -> None:
        """Release the lock, whoever holds it."""
        self._cannot("be unlocked")

    def before_undoing(self) -> None:
        """Migrations are about to be undone: who remembers that they were run has to forget it."""

    def check_backup(self) -> None:
        """Whether `backup` can work, before anything is done. Raises SettingsError."""

    def backup(self) -> None:
        """Export the databases before they are migrated. Raises DeployFailed."""
        self._cannot("export a database")

    def backups(self) -> Sequence[Backup]:
        """The exports that are kept beside the app, newest first."""
        self._cannot("list backups")

    def restore(self, name: str) -> None:
        """Bring one back with the app stopped, and start that again. Raises DeployError."""
        self._cannot("restore a backup")

    def promote(self) -> None:
        """Bring the release that the source app runs to this one, without building it."""
        self._cannot("promote")

    def history(self) -> Sequence[Deployed]:
        """What was live when, newest first, as far as the platform records it."""
        self._cannot("tell its history")

    def logs(self, service: str, *, lines: int, follow: bool) -> None:
        """Show the last `lines` that a service, or each, has written. Raises NoService."""
        self._cannot("show its log")

    def _cannot(self, what: str) -> NoReturn:
        raise Refused(f"{self.name} cannot {what}.")

    @property
    def rollback_command(self) -> str:
        """How a person goes back to the previous release."""
        return "ci-deploy rollback"

    @property
    def host_names(self) -> Sequence[str]:
        """What `{host}` in a URL stands for: each of several hosts."""
        return ()

    @property
    def check_command(self) -> str:
        """How a person sees what is live."""
        return "ci-deploy doctor"
