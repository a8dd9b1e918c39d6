"""A stand-in Heroku for each test, and what must be true after each of them."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from standins.heroku.server import HerokuStandIn
from standins.support import ROOT, Checkout, Done, Run, until
from tests.leaks import Watch, files_with, spellings, unchanged

FILES = {"Procfile": "web: sleep 600\nworker: sleep 600\n"}
WITH_PHASE = {"Procfile": "web: sleep 600\nrelease: ./migrate\n"}


class Jobs:
    """Runs ci-deploy as a CI job would, against the stand-in."""

    def __init__(self, server: HerokuStandIn, checkout: Checkout, folder: Path) -> None:
        self.server = server
        self.checkout = checkout
        self.home, self.private = folder / "home", folder / "private"
        self.home.mkdir()
        self.private.mkdir()
        self.outputs: list[str] = []
        self.env = {
            "PATH": f"{ROOT / '.tools/bin'}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "TMPDIR": str(self.private),
            **server.settings(),
        }

    def start(
        self,
        *words: str,
        cwd: Path | None = None,
        settings: Mapping[str, str] | None = None,
        **more: str,
    ) -> Run:
        """Start a command; `deploy` without words."""
        env = {**self.env, **(settings or {}), **more}
        return Run("ci-deploy", *(words or ["deploy"]), cwd=cwd or self.checkout.path, env=env)

    def run(
        self,
        *words: str,
        cwd: Path | None = None,
        settings: Mapping[str, str] | None = None,
        **more: str,
    ) -> Done:
        """Run a command to its end."""
        return self.seen(self.start(*words, cwd=cwd, settings=settings, **more).done())

    def seen(self, done: Done) -> Done:
        """What was said is looked at after the test."""
        self.outputs += [done.output, done.errors]
        return done

    def deployed(self, app: str = "hello") -> str:
        """Let the app run what is checked out, as if by a push; its revision."""
        head = self.begun(app)
        until(lambda: self.runs(app, head))
        return head

    def begun(self, app: str = "hello") -> str:
        """The same, but it need not be live yet: it is being built."""
        platform, head = self.server.platform, self.checkout.head
        without_hook = "--receive-pack=git -c core.hooksPath=/dev/null receive-pack"
        where, what = str(platform.folder / f"{app}.git"), f"{head}:refs/heads/main"
        self.checkout.git("push", "--quiet", without_hook, where, what)
        procfile = self.checkout.git("cat-file", "blob", f"{head}:Procfile")
        platform.build(self.server.apps[app], head, procfile)
        return head

    def runs(self, app: str, revision: str) -> bool:
        """Whether that is what is live."""
        with self.server.platform.lock:  # a release and its dynos are made under it
            return self.server.apps[app].running_revision == revision


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a certificate authority, for all tests of a worker."""
    return tmp_path_factory.mktemp("tls")


@pytest.fixture
def heroku(tmp_path: Path, authority: Path) -> Iterator[HerokuStandIn]:
    """A stand-in Heroku with an app `hello`; what it does not know fails the test.

    Its key is nobody else's: tests of runners hand theirs to docker in an argv at the same time.
    """
    key = f"HRKU-{uuid.uuid4()}"
    with HerokuStandIn(tmp_path / "heroku", key, tls=authority) as server:
        server.create("hello")
        yield server
        assert server.unexpected() == []


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """An app as CI has checked it out."""
    return Checkout(tmp_path / "checkout", FILES)


@pytest.fixture
def job(heroku: HerokuStandIn, checkout: Checkout, tmp_path: Path) -> Iterator[Jobs]:
    """Runs commands; afterwards the key is nowhere, and nothing of ours is left."""
    jobs, watch = Jobs(heroku, checkout, tmp_path), Watch(heroku.key)
    real = Path.home()
    with unchanged(real / ".netrc", real / ".gitconfig", checkout.path / ".git/config"):
        watch.start()
        yield jobs
        watch.stop()
    assert watch.looks
    assert watch.found == [], "the key was in an argv"
    assert list(jobs.home.iterdir()) == [], "something was written to HOME"
    assert list(jobs.private.iterdir()) == [], "the private directory is left"
    assert files_with(heroku.key, [tmp_path]) == []
    told = [line for output in jobs.outputs for line in output.splitlines()]
    said = "\n".join(line for line in told if not line.startswith("::add-mask::"))
    assert not any(form.decode() in said for form in spellings(heroku.key))


def shallow(checkout: Checkout, path: Path) -> Path:
    """A clone with one commit, as runners make it."""
    checkout.git("clone", "--quiet", "--depth=1", f"file://{checkout.path}", str(path))
    return path


def on(branch: str, checkout: Checkout, **more: str) -> dict[str, str]:
    """What GitLab tells a job of a branch."""
    return {
        "GITLAB_CI": "true",
        "CI_PROJECT_DIR": str(checkout.path),
        "CI_COMMIT_SHA": checkout.head,
        "CI_COMMIT_REF_NAME": branch,
        "CI_DEFAULT_BRANCH": "main",
        **more,
    }
