"""The interface of a framework for migrations: their commands, when they run, and their names."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, TypeVar

from ci_deploy.errors import Problem, Refused
from ci_deploy.layers.base import Application
from ci_deploy.layers.providers.base import Provider
from ci_deploy.run.context import Context
from ci_deploy.run.events import BUILDING
from ci_deploy.settings import setting, settings
from ci_deploy.settings.sources import Source

NAMES = 12  # most migrations that are listed by name

Commands = tuple[tuple[str, ...], ...]


@settings
class FrameworkSettings:
    """The framework of the app, and its migrations: the settings that all frameworks share."""

    application: str = setting(
        "DEPLOY_APPLICATION",
        "The framework of the app",
        default="auto",
        default_help="detected from the checkout",
        choices=("auto", "rails", "django", "none"),
    )
    migrate: bool = setting(
        "AUTO_MIGRATE_ON_DEPLOY", "Run the database migrations when deploying", default=False
    )
    position: str = setting(
        "MIGRATE",
        "When migrations run: `after` the new release is live, or `before` it gets traffic",
        default="",
        default_help="`before` on Compose and Swarm, `after` on Dokku and Heroku",
        choices=("after", "before"),
    )
    backup: bool = setting(
        "BACKUP_BEFORE_MIGRATE", "Export the databases before they are migrated", default=False
    )
    seed: str = setting(
        "SEED_ON_REVIEW",
        "Whether a review app's seeds are loaded: `once`, at its first deployment, or `always`",
        default="never",
        choices=("never", "once", "always"),
    )


F = TypeVar("F", bound=FrameworkSettings)


class Migrations(Application[F]):
    """What to run for an app's migrations, and when; the handlers in framework.py act on it. A
    framework (rails.py, django.py) implements its abstract methods."""

    title: ClassVar[str]  # of the framework, in messages
    wishes: ClassVar[frozenset[str]] = frozenset(
        {"AUTO_MIGRATE_ON_DEPLOY", "MIGRATE", "BACKUP_BEFORE_MIGRATE", "SEED_ON_REVIEW"}
    )
    files: ClassVar[tuple[str, ...]]  # the migrations' files, as pathspecs of git
    migrating: ClassVar[tuple[str, ...]]  # words that show that a release task migrates
    keeps_schema: ClassVar[bool] = False  # whether a process keeps what it has read of the schema

    def __init__(self, ctx: Context, settings: F) -> None:
        super().__init__(ctx, settings)
        self._by_platform: dict[str, str] = {}  # revision → result of `by_platform`

    @classmethod
    @abstractmethod
    def detected(cls, root: Path) -> bool:
        """Whether the directory `root` contains an app of this framework."""

    @classmethod
    def wanted(cls, source: Source, root: Path) -> bool:
        """Whether DEPLOY_APPLICATION names this framework, or is `auto` or not set and the app's
        directory `root` contains an app of it."""
        named = source.text("DEPLOY_APPLICATION") or "auto"
        return cls.detected(root) if named == "auto" else named == cls.name

    def problems(self) -> Iterable[Problem]:
        wanted, ctx = self.settings.position, self.ctx
        if ctx.has_provider and wanted and wanted not in ctx.provider.migrates:
            can = " or ".join(f"`{each}`" for each in sorted(ctx.provider.migrates))
            yield Problem("MIGRATE", f"{ctx.provider.name} supports only {can}, not `{wanted}`.")
        if self.settings.backup and ctx.has_provider and not _backs_up(ctx.provider):
            message = f"ci-deploy cannot export a database on {ctx.provider.name}."
            remedy = "Export it in another way, and unset the setting."
            yield Problem("BACKUP_BEFORE_MIGRATE", message, "", remedy)

    # --- what a framework says ---

    @abstractmethod
    def pending(self) -> tuple[str, ...]:
        """The command, as words, that exits with 0 when no migration is pending, else with another
        code."""

    @abstractmethod
    def migration(self, *, prepare: bool) -> Commands:
        """The commands, each as words, that migrate and then verify that nothing is pending.
        `prepare`: the database is empty, so create its schema first."""

    def seeds(self, *, prepared: bool) -> tuple[str, ...]:  # noqa: ARG002
        """The command that loads the seeds; empty for none. `prepared`: it would run right after
        `migration(prepare=True)`, which may have loaded them."""
        return ()

    def undo(self, count: int) -> tuple[str, ...]:  # noqa: ARG002
        """The command, as words, that undoes the last `count` migrations. Raises Refused if the
        framework has none."""
        message = f"{self.title} has no command that undoes the last migrations."
        raise Refused(message, hint="Roll back without --migrations.")

    def advice(self, lines: Sequence[str]) -> str:  # noqa: ARG002
        """A hint for migrations that failed with these last lines; empty if there is none."""
        return ""

    def applied(self, lines: Sequence[str]) -> bool:  # noqa: ARG002
        """Whether the commands of `migration`, whose last lines are `lines`, have applied any; here
        this is assumed unless git shows that the revision has no new ones."""
        return self.coming() != ()

    def label(self, path: str) -> str:
        """The name of the migration in the file `path`, for the log."""
        return PurePosixPath(path).stem

    # --- this run ---

    @property
    def first_deploy(self) -> bool:
        """Whether the app has no release yet, or none whose revision is known."""
        return not (self.ctx.before and self.ctx.before.revision)

    @property
    def preparing(self) -> bool:
        """Whether to prepare an empty database: at the first deploy of a review app."""
        return self.ctx.review is not None and self.first_deploy

    def by_platform(self) -> str:
        """Where this revision configures a task of the platform that migrates, in the words of
        `Provider.release_tasks` (like "the Procfile's `release:`"); empty if there is none."""
        revision = self.ctx.revision
        if revision not in self._by_platform:
            tasks = self.ctx.provider.release_tasks().items()
            found = (where for where, task in tasks if any(word in task for word in self.migrating))
            self._by_platform[revision] = next(found, "")
        return self._by_platform[revision]

    @property
    def position(self) -> str:
        """When this run has to run the migrations: `before` the release gets traffic, `after` the
        switch, or empty: not at all, since AUTO_MIGRATE_ON_DEPLOY is not set or the platform does
        (`by_platform`)."""
        if not self.settings.migrate or self.by_platform():
            return ""
        promoting = self.ctx.command == "promote" and not self.ctx.provider.promotes_by_deploy
        return "after" if promoting else self.settings.position or self.ctx.provider.migrate

    def coming(self) -> tuple[str, ...] | None:
        """The names of the migrations that this revision has and the live one lacks; None when that
        is unknown, as at the first deploy."""
        return self._added(self._old, self.ctx.revision)

    def staying(self) -> tuple[str, ...] | None:
        """The names of the migrations that the live revision has and this (older) one lacks; None
        when unknown."""
        return self._added(self.ctx.revision, self._old)

    @property
    def _old(self) -> str:
        return self.ctx.before.revision if self.ctx.before else ""

    def _added(self, old: str, new: str) -> tuple[str, ...] | None:
        if not (old and new):
            return None
        folder = PurePosixPath(self.ctx.settings.app_dir)
        found = self.ctx.repository.git(
            "diff", "--name-only", "-z", "--no-renames", "--diff-filter=A", old, new, "--",
            *(str(folder / each) for each in self.files), ok=None,
        )  # fmt: skip
        paths = filter(None, found.text.split("\0"))
        return tuple(map(self.label, paths)) if found.exit_code == 0 else None

    def tell(self) -> None:
        """Log the new migrations and what runs them; and those that the live revision has and this
        one lacks, which a rollback leaves in the database."""
        if self.ctx.command in BUILDING and (where := self.by_platform()):
            self.ctx.console.indent(f"migrations: {where} runs them, so they are not run again.")
        elif coming := self.coming():
            self._list("new migrations", coming, self._who())
        if staying := self.staying():
            undone = self.ctx.arguments.get("migrations", 0)
            how = f"the last {undone} of them are undone first" if undone else "not undone"
            self._list("migrations that the older code does not know", staying, how)

    def _who(self) -> str:
        names = {"before": "run before the release gets traffic", "after": "run after the deploy"}
        if self.ctx.command == "rollback":  # to a newer release
            return "not run in a rollback"
        if self.settings.migrate and (where := self.by_platform()):  # in a promotion
            return f"not run by ci-deploy, but by {where}"
        return names.get(self.position, "not run by ci-deploy: AUTO_MIGRATE_ON_DEPLOY is not true")

    def _list(self, heading: str, names: Sequence[str], then: str) -> None:
        more = [f"and {len(names) - NAMES} more"] if len(names) > NAMES else []
        self.ctx.console.indent(f"{heading} ({then}): {', '.join([*names[:NAMES], *more])}")


def _backs_up(provider: Provider[Any]) -> bool:
    """Whether the provider can export databases."""
    return type(provider).backup is not Provider.backup
