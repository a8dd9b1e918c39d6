"""Records that survive a run: branches of the app's own repository on Heroku.

Heroku has no place for records that would not make a release and restart the app. But its git keeps
every branch and builds only `main` and `master` ("Pushed to branch other than [main, master],
skipping build."), so a pending task is a branch `ci-deploy/unfinished/<version>/<key>` with an
empty commit. `git ls-remote` lists them. From which directory a slug was built Heroku does not
know: `ci-deploy/built/<slug>/<APP_DIR>` records it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import quote, unquote

from ci_deploy.errors import DeployError
from ci_deploy.layers.providers.heroku.remote import Remote
from ci_deploy.run.context import Context
from ci_deploy.run.tasks import VERSION, Task, in_words, of_sentence

FOLDER = "ci-deploy/unfinished/"
BUILT = "ci-deploy/built/"  # SLUG/DIRECTORY
REMEMBERED = 10  # slugs whose directory is recorded


class Notes:
    """The records on one app. They are a safety net: failing to write one does not stop a
    deploy."""

    def __init__(self, ctx: Context, app: str, remote: Remote) -> None:
        self._ctx = ctx
        self._app = app
        self._remote = remote
        self._branches: list[str] = []  # each records a task
        self.folders: dict[str, str] = {}  # slug → APP_DIR, if it is not the repository root

    def read(self, branches: Iterable[str]) -> None:
        """Take the records from the names of the repository's branches."""
        names = list(branches)
        self._branches = [name for name in names if name.startswith(FOLDER)]
        built = (name.removeprefix(BUILT) for name in names if name.startswith(BUILT))
        self.folders = {slug: unquote(rest) for slug, _, rest in (b.partition("/") for b in built)}

    def built_from(self, slug: str, folder: str) -> None:
        """Record that `slug` was built from `folder` (APP_DIR; empty: the repository root). At most
        REMEMBERED records are kept. A failure is only a warning."""
        if self.folders.get(slug, "") == folder:
            return
        old = dict(list(self.folders.items())[REMEMBERED - 1 :])
        self.folders[slug] = folder
        self._mark([_built(slug, folder)], [_built(*each) for each in old.items()],
                   what=f"record on {self._app} that it was built from {folder}")  # fmt: skip

    @property
    def tasks(self) -> Sequence[Task]:
        """The pending tasks."""
        return list(dict.fromkeys(map(task_of, self._branches)))

    def set(self, tasks: Sequence[Task]) -> None:
        """Replace the pending tasks. A failure is only a warning."""
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
        self._mark(map(branch_of, new), old, what=what)

    def _mark(self, new: Iterable[str], old: Iterable[str], *, what: str) -> None:
        try:
            self._remote.mark(new, old, what=what)
        except DeployError as error:
            self._ctx.console.warning(
                f"a pending task could not be recorded on Heroku: {error.message}"
            )


def branch_of(task: Task) -> str:
    """The branch that records a task: readable, with any text quoted."""
    words = f"/{_quoted(task.text)}" if task.text else ""
    return f"{FOLDER}{VERSION}/{_quoted(task.key)}{words}"


def _built(slug: str, folder: str) -> str:
    return f"{BUILT}{slug}/{_quoted(folder)}"


def _quoted(text: str) -> str:
    return quote(text, safe="").replace(".", "%2E")


def task_of(branch: str) -> Task:
    """The task that a branch records; earlier versions named it by a sentence, without any `/`."""
    first, slash, rest = branch.removeprefix(FOLDER).partition("/")
    if not slash:
        return of_sentence(unquote(first))
    key, _, text = rest.partition("/")
    return Task(unquote(key), unquote(text))
