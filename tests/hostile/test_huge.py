"""Repositories with 100,000 commits and with 50,000 files, cloned whole or shallow: our memory
stays small, it ends in time, and what runs is what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from standins.dokku.server import DokkuStandIn
from standins.support import Checkout, Run, settings_for
from tests.hostile.huge import lfs, repository
from tests.hostile.memory import LIMIT, LOGGED, most
from tests.hostile.tally import Kind, Record, tried


class Job:
    """Commands in a checkout of that size, each of which has to be small."""

    def __init__(self, dokku: DokkuStandIn, checkout: Checkout, folder: Path) -> None:
        self.dokku, self.checkout, self.log = dokku, checkout, folder / "log"

    def run(self, *words: str, **more: str) -> str:
        """What it said."""
        env = settings_for(self.dokku, LOG=str(self.log), DEPLOY_TIMEOUT="240", **more)
        run = Run("ci-deploy", *words, cwd=self.checkout.path, env=env, through=LOGGED)
        memory = most(run)
        print(words, more, f"{memory} KiB")
        said = self.log.read_text()
        assert run.done().code == 0, said
        assert 0 < memory < LIMIT, f"{words}: {memory} KiB"
        return said

    def deploys(self, method: str) -> None:
        """What is checked out, and it runs then."""
        said = self.run("deploy", DEPLOY_METHOD=method)
        assert f"verified: hello runs {self.checkout.head[:7]}" in said
        if method == "push":  # of an archive Dokku makes a commit of its own
            assert self.dokku.app("hello").running_revision == self.checkout.head


def test_large_repository(dokku: DokkuStandIn, tmp_path: Path, record_property: Record) -> None:
    """A small form, in each run of the tests."""
    job = Job(dokku, repository(tmp_path / "checkout", 3_000, 3_000), tmp_path)
    tried(record_property, Kind.HUGE)
    job.deploys("archive")


@pytest.mark.hostile
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("commits", "files"), [(100_000, 0), (1, 50_000)])
def test_whole_clone(
    dokku: DokkuStandIn, tmp_path: Path, record_property: Record, commits: int, files: int
) -> None:
    checkout = repository(tmp_path / "checkout", commits, files)
    job = Job(dokku, checkout, tmp_path)
    tried(record_property, Kind.HUGE, 8)
    job.deploys("push")
    first = checkout.head
    checkout.commit("One more")
    assert "push" in job.run("plan")
    job.deploys("push")
    assert checkout.head[:7] in job.run("history")
    job.run("rollback")
    assert dokku.app("hello").running_revision == first
    checkout.commit("And one more")
    job.run("plan", DEPLOY_METHOD="archive")
    job.deploys("archive")
    lfs(checkout)
    job.deploys("archive")


@pytest.mark.hostile
@pytest.mark.timeout(900)
def test_shallow_clone_of_many_commits(
    dokku: DokkuStandIn, tmp_path: Path, record_property: Record
) -> None:
    """As GitLab and GitHub make them: the history is fetched for a push, not for an archive."""
    origin = repository(tmp_path / "origin", 100_000, 0)
    origin.git("clone", "--quiet", "--depth=1", f"file://{origin.path}", str(tmp_path / "shallow"))
    shallow = Checkout.__new__(Checkout)
    shallow.path, shallow.head = tmp_path / "shallow", origin.head
    job = Job(dokku, shallow, tmp_path)
    tried(record_property, Kind.HUGE, 2)
    job.deploys("push")
    shallow.commit("One more")
    job.deploys("archive")
