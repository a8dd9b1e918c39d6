"""Notes that survive a run: branches of the app's own repository on Heroku.

Heroku has no place for notes that would not make a release and restart the app. But its git keeps
every branch and builds only `main` and `master` ("Pushed to branch other than [main, master],
skipping build."), so a task that is unfinished is a branch `ci-deploy/unfinished/<version>/<key>`
with an empty commit. `git ls-remote` shows them to anybody. Of which directory a slug was built
Heroku does not know: `ci-deploy/built/<slug>/<APP_DIR>` says so.
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
REMEMBERED = 10  # slugs of which the directory is noted


class Notes:
    """The notes on one app. They are a safety net: without them a deploy goes on."""

    def __init__(self, ctx: Context, app: str, remote: Remote) -> None:
        self._ctx = ctx
        self._app = app
        self._remote = remote
        self._branches: list[str] = []  # each is a task
        self.folders: dict[str, str] = {}  # slug → APP_DIR, where that is not the top

    def read(self, branches: Iterable[str]) -> None:
        """Take them from the branches of the repository."""
        names = list(branches)
        self._branches = [name for name in names if name.startswith(FOLDER)]
        built = (name.removeprefix(BUILT) for name in names if name.startswith(BUILT))
        self.folders = {slug: unquote(rest) for slug, _, rest in (b.partition("/") for b in built)}

    def built_from(self, slug: str, folder: str) -> None:
        """Note of which directory a slug was built."""
        if self.folders.get(slug, "") == folder:
            return
        old = dict(list(self.folders.items())[REMEMBERED - 1 :])
        self.folders[slug] = folder
        self._mark([_built(slug, folder)], [_built(*each) for each in old.items()],
                   what=f"record on {self._app} that it was built from {folder}")  # fmt: skip

    @property
    def tasks(self) -> Sequence[Task]:
        """What is unfinished."""
        return list(dict.fromkeys(map(task_of, self._branches)))

    def set(self, tasks: Sequence[Task]) -> None:
        """From now on these are unfinished, and no others."""
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
    """The branch that notes a task; readable, and any text can be in it."""
    words = f"/{_quoted(task.text)}" if task.text else ""
    return f"{FOLDER}{VERSION}/{_quoted(task.key)}{words}"


def _built(slug: str, folder: str) -> str:
    return f"{BUILT}{slug}/{_quoted(folder)}"


def _quoted(text: str) -> str:
    return quote(text, safe="").replace(".", "%2E")


def task_of(branch: str) -> Task:
    """The task that a branch notes; earlier versions named it by a sentence, without any `/`."""
    first, slash, rest = branch.removeprefix(FOLDER).partition("/")
    if not slash:
        return of_sentence(unquote(first))
    key, _, text = rest.partition("/")
    return Task(unquote(key), unquote(text))
