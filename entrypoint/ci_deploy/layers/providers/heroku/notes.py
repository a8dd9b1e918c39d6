"""Records that survive a run: branches of the app's own repository on Heroku.

Heroku has no place for records that would not make a release and restart the app. But its git keeps
every branch and builds only `main` and `master` ("Pushed to branch other than [main, master],
skipping build."), so a pending task is a branch `ci-deploy/unfinished/<version>/<key>` with an
empty commit. `git ls-remote` lists them. Nor does Heroku know from which directory a slug was
built: a branch `ci-deploy/built/<slug>/<APP_DIR>` records it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from math import inf
from urllib.parse import quote, unquote

from ci_deploy.errors import DeployError
from ci_deploy.layers.providers.heroku.remote import Remote
from ci_deploy.run.context import Context
from ci_deploy.run.tasks import VERSION, Key, Task, in_words, of_sentence

FOLDER = "ci-deploy/unfinished/"
BUILT = "ci-deploy/built/"  # SLUG/DIRECTORY
REMEMBERED = 10  # slugs whose directory is recorded


class Notes:
    """The records on one app: its pending tasks, and from which directories its slugs were built.
    They are a safety net: failing to write one is a warning and does not stop a deploy."""

    def __init__(self, ctx: Context, app: str, remote: Remote) -> None:
        self._ctx = ctx
        self._app = app
        self._remote = remote
        self._branches: list[str] = []  # the names of those that record tasks
        self.folders: dict[str, str] = {}  # slug → APP_DIR, if it is not the repository root

    def read(self, branches: Iterable[str]) -> None:
        """Take the records from `branches`, the names of all branches of the app's repository."""
        names = list(branches)
        self._branches = [name for name in names if name.startswith(FOLDER)]
        built = (name.removeprefix(BUILT) for name in names if name.startswith(BUILT))
        self.folders = {slug: unquote(rest) for slug, _, rest in (b.partition("/") for b in built)}

    def built_from(self, slug: str, folder: str, released: Callable[[], Sequence[str]]) -> None:
        """Record that `slug`, an id, was built from the directory `folder`. At most REMEMBERED
        records are kept: those of the slugs that come first in `released()`, the slugs of the
        newest releases, which is called only when there are more. A failure is only a warning.
        """
        if self.folders.get(slug, "") == folder:
            return
        what = f"record on {self._app} that it was built from {folder}"
        with self._only_a_warning(what):
            old: Sequence[str] = ()
            if len(self.folders) >= REMEMBERED:
                ages = {each: age for age, each in reversed([*enumerate(released(), 1)])}
                listed = sorted(self.folders, key=lambda each: ages.get(each, inf))
                old = listed[REMEMBERED - 1 :]
            gone = [_built(each, self.folders.pop(each)) for each in old]
            self.folders[slug] = folder
            self._remote.mark([_built(slug, folder)], gone, what=what)

    @property
    def tasks(self) -> Sequence[Task]:
        """The pending tasks; empty before `read`, and if the branches could not be read."""
        return list(dict.fromkeys(map(task_of, self._branches)))

    def set(self, tasks: Sequence[Task]) -> None:
        """Replace the pending tasks, here and in the app's repository. A failure to push that is
        only a warning."""
        known = self.tasks
        new = [task for task in tasks if task not in known]
        kept = [name for name in self._branches if task_of(name) in tasks]
        old = [name for name in self._branches if name not in kept]
        self._branches = [*kept, *map(branch_of, new)]
        if not (new or old):
            return
        what = f"remove a pending task of {self._app}: {in_words(map(task_of, old))}"
        if new:
            what = f"record a pending task on {self._app}: {in_words(new)}"
        with self._only_a_warning(what):
            self._remote.mark(map(branch_of, new), old, what=what)

    @contextmanager
    def _only_a_warning(self, what: str) -> Iterator[None]:
        try:
            yield
        except DeployError as error:
            self._ctx.console.warning(f"could not {what} ({error.message.rstrip('.')}).")


def branch_of(task: Task) -> str:
    """The name of the branch that records a task; its text is percent-encoded."""
    words = f"/{_quoted(task.text)}" if task.text else ""
    return f"{FOLDER}{VERSION}/{_quoted(task.key)}{words}"


def _built(slug: str, folder: str) -> str:
    return f"{BUILT}{slug}/{_quoted(folder)}"


def _quoted(text: str) -> str:
    return quote(text, safe="").replace(".", "%2E")


def task_of(branch: str) -> Task:
    """The task that `branch` (a name that begins with FOLDER) records. Earlier versions named it by
    a sentence, without any `/`; the name of a newer version becomes a task with the key NEWER."""
    first, slash, rest = branch.removeprefix(FOLDER).partition("/")
    if not slash:
        return of_sentence(unquote(first))
    if first != str(VERSION):
        return Task(Key.NEWER, branch)
    key, _, text = rest.partition("/")
    return Task(unquote(key), unquote(text))
