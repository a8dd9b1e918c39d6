"""What an interrupted run owes is kept as keys, whatever version has kept it."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from ci_deploy.errors import Unauthorized, Unreachable
from ci_deploy.layers.providers.dokku import notes
from ci_deploy.layers.providers.heroku.notes import REMEMBERED, Notes, branch_of, task_of
from ci_deploy.run import tasks
from ci_deploy.run.tasks import VERSION, WORDS, Key, Task, dumped, in_words, loaded

OLD, NEW = "a" * 40, "b" * 40
# As earlier versions have left them on an app: the note of Dokku, Compose and Swarm.
RECORDED = {
    "workers are quiet": [Task(Key.WORKERS)],
    "migrations are to be run; seeds are to be loaded": [Task(Key.MIGRATE), Task(Key.SEED)],
    "the database is to be prepared; POST_DEPLOY_COMMAND is to be run": [
        Task(Key.PREPARE),
        Task(Key.COMMAND),
    ],
    "migrations were undone for a rollback": [Task(Key.UNDONE)],
    "maintenance mode is on; the review app is being set up": [
        Task(Key.MAINTENANCE),
        Task(Key.SETUP),
    ],
    f"workers are quiet; built over {OLD} in 1a2b+3c4d": [
        Task(Key.WORKERS),
        notes.built_over(OLD, ["3c4d", "1a2b"]),
    ],
    "built over nothing in none": [notes.built_over("", [])],
    f"{NEW} took over in 1a2b, recorded is {OLD}": [notes.took_over(NEW, ["1a2b"], OLD)],
    f"{NEW} took over in 1a2b, recorded is nothing": [notes.took_over(NEW, ["1a2b"], "")],
    "": [],
}


@pytest.mark.parametrize(("text", "tasks"), RECORDED.items())
def test_note_of_an_earlier_version_is_read(text: str, tasks: list[Task]) -> None:
    """Sentences, with `; ` between them."""
    assert list(loaded(text)) == tasks


RESTORE = Task(Key.RESTORE, dump="20261129T164200Z-db", service="db", stopped=("app=2", "agent="))


@pytest.mark.parametrize(
    "tasks", [*RECORDED.values(), [Task("purge", "purge the cache")], [RESTORE]]
)
def test_what_is_kept_is_read_again(tasks: list[Task]) -> None:
    """Keys and a version, in one line that is no sentence."""
    text = dumped(tasks)
    assert list(loaded(text)) == tasks
    assert "\n" not in text
    if tasks:
        kept = json.loads(text)
        assert kept["version"] == VERSION
        assert [each["key"] for each in kept["tasks"]] == [task.key for task in tasks]


@pytest.mark.parametrize("text", ["{", '{"version": 1}', '{"tasks": [1]}', "call Anna", "{}"])
def test_note_that_cannot_be_read_is_shown_as_it_is(text: str) -> None:
    """Whoever has written it: it is not dropped, and nothing is decided by it."""
    assert loaded(text) == (Task(Key.UNREADABLE, text),)
    assert in_words(loaded(text)) == text
    assert loaded(dumped(loaded(text))) == loaded(text)


def test_task_that_this_version_does_not_know_is_kept_and_said_by_its_key() -> None:
    [task] = loaded('{"version": 1, "tasks": [{"key": "drain-queues"}]}')
    assert task.words == "drain-queues (not known to this version)"
    assert loaded(dumped([task])) == (task,)


def test_tasks_in_a_newer_format_are_kept_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job with an older image runs in between, adds one of its own, and loses nothing."""
    text = '{"version": 9, "tasks": [{"key": "migrate", "queue": "mail"}]}'
    [newer] = loaded(text)
    assert newer == Task(Key.NEWER, text)
    assert newer.words == f"what a newer ci-deploy has recorded: {text}"
    kept = dumped([newer, Task(Key.SEED)])
    assert loaded(kept) == (newer, Task(Key.SEED))
    branch = "ci-deploy/unfinished/9/migrate/mail"
    assert task_of(branch) == Task(Key.NEWER, branch)

    monkeypatch.setattr(tasks, "VERSION", 9)
    assert loaded(text) == (Task(Key.MIGRATE),)
    assert loaded(kept.replace('{"version": 1', '{"version": 9')) == (
        Task(Key.MIGRATE),
        Task(Key.SEED),
    )


def test_every_task_has_words() -> None:
    assert set(WORDS) == set(Key)
    assert RESTORE.words == "finish the restore of 20261129T164200Z-db"
    held = notes.built_over(OLD, ["1a"])
    assert held.words == "release a newer build, which is held back (still live: aaaaaaa)"
    assert (
        notes.took_over(NEW, [], "").words
        == "deploy again (bbbbbbb runs, but Dokku records nothing as deployed)"
    )


@pytest.mark.parametrize(
    "task", [Task(Key.MAINTENANCE), Task("purge", "purge: the/cache, 100 %"), Task("a/b.c")]
)
def test_task_is_a_branch_on_heroku(task: Task) -> None:
    branch = branch_of(task)
    assert task_of(branch) == task
    assert branch.startswith(f"ci-deploy/unfinished/{VERSION}/")


@pytest.mark.parametrize(
    ("branch", "task"),
    [
        ("ci-deploy/unfinished/maintenance%20mode%20is%20on", Task(Key.MAINTENANCE)),
        ("ci-deploy/unfinished/the%20review%20app%20is%20being%20set%20up", Task(Key.SETUP)),
        ("ci-deploy/unfinished/call%20Anna", Task(Key.UNREADABLE, "call Anna")),
    ],
)
def test_branch_of_an_earlier_version_is_a_task(branch: str, task: Task) -> None:
    """Recorded from an app's repository; removed by its own name."""
    marked: list[tuple[list[str], list[str]]] = []

    class Remote:
        def mark(self, new: object, old: object, *, what: str) -> None:  # noqa: ARG002
            marked.append((list(new), list(old)))  # type: ignore[call-overload]

    kept = Notes(None, "hello", Remote())  # type: ignore[arg-type]
    kept.read(["main", branch, branch_of(Task(Key.MAINTENANCE))])
    assert task in kept.tasks
    kept.set([each for each in kept.tasks if each != task])
    [(new, old)] = marked
    assert not new
    assert branch in old
    assert task not in kept.tasks


@pytest.mark.parametrize("count", [1, 9, 10, 12])
def test_directories_of_the_slugs_released_last_are_kept(count: int) -> None:
    """git lists branches by name, and a slug's name says nothing of its age."""
    slugs = [f"slug-{'zyxwvutsrqpo'[number]}" for number in range(count)]  # the newest comes first
    marked: list[tuple[list[str], list[str]]] = []

    class Remote:
        def mark(self, new: object, old: object, *, what: str) -> None:  # noqa: ARG002
            marked.append((list(new), list(old)))  # type: ignore[call-overload]

    def released() -> list[str]:
        assert count >= REMEMBERED, "one question less where nothing has to go"
        return [slugs[0], "slug-of-the-top", *slugs[:-1]]  # the oldest is not listed any more

    kept = Notes(None, "hello", Remote())  # type: ignore[arg-type]
    kept.read(sorted(f"ci-deploy/built/{slug}/w%2Fapi" for slug in slugs))
    kept.built_from("slug-new", "w/api", released)
    gone = [f"ci-deploy/built/{slug}/w%2Fapi" for slug in slugs[REMEMBERED - 1 :]]
    [(new, old)] = marked
    assert new == ["ci-deploy/built/slug-new/w%2Fapi"]
    assert sorted(old) == sorted(gone)
    assert set(kept.folders) == {"slug-new", *slugs[: REMEMBERED - 1]}


@pytest.mark.parametrize("asked", [True, False])
def test_directory_that_cannot_be_recorded_is_named_in_a_warning(asked: bool) -> None:
    warned: list[str] = []

    class Remote:
        def mark(self, *_: object, what: str) -> None:  # noqa: ARG002
            raise Unauthorized("git.heroku.com rejects the API key.")

    def released() -> list[str]:
        raise Unreachable("no answer.")

    ctx = SimpleNamespace(console=SimpleNamespace(warning=warned.append))
    kept = Notes(ctx, "hello", Remote())  # type: ignore[arg-type]
    kept.read([f"ci-deploy/built/slug-{n}/w" for n in range(REMEMBERED if asked else 0)])
    kept.built_from("slug-new", "w", released)
    why = "no answer" if asked else "git.heroku.com rejects the API key"
    assert warned == [f"could not record on hello that it was built from w ({why})."]
