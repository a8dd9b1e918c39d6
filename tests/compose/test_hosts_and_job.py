"""Three hosts and the job that leads them: the real program of the hosts and the real Coordinator,
with a stand-in for `docker` and no ssh between them (alone.py says why). Whatever becomes of the
job, the hosts end with the same release."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ci_deploy.layers.providers.compose.coordinator import Coordinator
from ci_deploy.layers.providers.compose.host_run_log import End, HostRunLog
from ci_deploy.layers.providers.compose.hosts import Host
from ci_deploy.net.ssh.server import server
from standins.support import until
from tests.compose.alone import Alone


class Job:
    """What is left of a job when ssh is taken away: it reads the logs and opens gates."""

    def __init__(self, hosts: list[Alone], tag: str) -> None:
        self.hosts = hosts
        self.lost: list[tuple[str, str]] = []  # hosts, and the words that they do not hear any more
        self.runs = [host.start(tag, gates="yes") for host in hosts]
        self.logs = [self._log(host.name) for host in hosts]
        self.coordinator = Coordinator(self.logs, self._send)

    @staticmethod
    def _log(name: str) -> HostRunLog:
        def nothing(*_: object) -> None: ...

        host = Host(server(f"deploy@{name}"))
        return HostRunLog(host, "t0ken", show=nothing, say=nothing, changed=nothing, judge=nothing)

    def _send(self, log: HostRunLog, word: str) -> None:
        index = self.logs.index(log)
        name, _, text = word.partition(" ")
        if (log.host.server.host, name) in self.lost:
            return
        self.hosts[index].say(self.runs[index], name, text=text)

    def lead(self, until_true: Callable[[], bool]) -> None:
        """Live until something is true."""

        def step() -> bool:
            for host, run, log in zip(self.hosts, self.runs, self.logs, strict=True):
                for number, line in enumerate(host.log(run).splitlines(), 1):
                    log.line(f"{number}|{line}")
                if outcome := host.file(f"runs/{run}/outcome"):
                    log.line(f"@t0ken ended {outcome.strip()}")
            self.coordinator.advance()
            return until_true()

        until(step, what=str(self.logs))

    def gates(self) -> list[str]:
        """What each host waits for."""
        return ["end" if log.end else log.gate for log in self.logs]

    def vanish(self) -> None:
        """Killed; and the hosts have waited for it for long enough."""
        for host, run in zip(self.hosts, self.runs, strict=True):
            until(lambda h=host, r=run: h.file(f"runs/{r}/outcome") or _silent(h, r))  # type: ignore[misc]

    def ends(self) -> list[str]:
        """The words with which the hosts end."""
        pairs = zip(self.hosts, self.runs, strict=True)
        return [host.end(run).split()[0] for host, run in pairs]


def _silent(host: Alone, run: str) -> bool:
    (host.state / "runs" / run / "beat").write_text("0\n")
    return False


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[list[Alone]]:
    """Three that run good1."""
    made = [Alone(tmp_path, f"host{number}") for number in (1, 2, 3)]
    runs = [host.start("good1") for host in made]
    assert [host.end(run) for host, run in zip(made, runs, strict=True)] == ["live good1-1"] * 3
    yield made
    for host in made:
        host.kill()
        host.check()


def _untouched(hosts: list[Alone]) -> None:
    for host in hosts:
        host.runs_only("good1")
        assert host.calls("up -d") == 1, "only what brought good1"


def test_all_are_ready_before_the_first_is_switched_and_prove_it_before_any_keeps_it(
    hosts: list[Alone],
) -> None:
    job = Job(hosts, "good2")
    job.lead(lambda: job.gates() == ["keep", "switch", "switch"])
    assert [host.current for host in hosts] == ["good1"] * 3
    job.lead(lambda: all(log.end for log in job.logs))
    assert job.ends() == ["live"] * 3
    for host in hosts:
        host.runs_only("good2")


def test_job_cancelled_while_the_first_is_switching_lets_the_others_untouched(
    hosts: list[Alone],
) -> None:
    hosts[0].hold("* up -d *")
    job = Job(hosts, "good2")
    job.lead((hosts[0].engine / "hold.held").exists)
    for log in job.logs:  # what HostRun.cancel says as long as not all have proven it
        job._send(log, "back the job was cancelled")
    hosts[0].release()
    assert job.ends() == ["recalled", "unchanged", "unchanged"]
    hosts[0].runs_only("good1")
    _untouched(hosts[1:])


def test_bad_release_whose_job_is_killed_is_seen_by_the_first_only(hosts: list[Alone]) -> None:
    """They must not take a job's silence for consent: the first one may have gone back by then."""
    job = Job(hosts, "bad1")
    hosts[0].hold("inspect *")
    job.lead((hosts[0].engine / "hold.held").exists)
    hosts[0].release()
    job.vanish()
    assert job.ends() == ["rolled-back", "failed", "failed"]
    hosts[0].runs_only("good1")
    _untouched(hosts[1:])


def test_good_release_whose_job_is_killed_before_all_have_it_is_taken_back(
    hosts: list[Alone],
) -> None:
    job = Job(hosts, "good2")
    job.lead(lambda: job.gates() == ["keep", "switch", "switch"])
    job.vanish()
    job.ends()
    for host in hosts:
        host.runs_only("good1")


def test_host_that_fails_alone_takes_the_others_back(hosts: list[Alone]) -> None:
    job = Job(hosts, "good2")
    hosts[2].fault("*releases/good2-1* up -d *")
    job.lead(lambda: all(log.end for log in job.logs))
    assert job.ends() == ["recalled", "recalled", "rolled-back"]
    for host in hosts:
        host.runs_only("good1")


def test_program_killed_after_all_have_proven_it_keeps_it_like_the_others(
    hosts: list[Alone],
) -> None:
    job = Job(hosts, "good2")
    job.lost = [("host3", "keep")]
    job.lead(lambda: hosts[0].current == hosts[1].current == "good2")
    hosts[2].kill()
    job.logs[2].end = End("died")
    job.coordinator.advance()
    assert not job.coordinator.rolling_back
    hosts[2].say(job.runs[2], "keep")  # as HostRun does before it lets the host clear up
    assert hosts[2].deploy("good2", action="recover") == "live the unfinished release is live"
    hosts[2].runs_only("good2")


@pytest.mark.parametrize(
    ("words", "tag"), [((), "good1"), (("back",), "good1"), (("keep",), "good2")]
)
def test_next_run_treats_what_a_killed_one_has_left_as_that_was_told(
    hosts: list[Alone], words: tuple[str, ...], tag: str
) -> None:
    host = hosts[0]
    host.hold("inspect *")
    run = host.start("good2", gates="yes")
    host.say(run, "lock", "switch")
    host.held()
    host.say(run, *words)
    host.kill()
    host.deploy("nothere")
    host.runs_only(tag)


def test_one_host_that_was_told_to_go_back_and_killed_goes_back(hosts: list[Alone]) -> None:
    host = hosts[0]
    host.hold("inspect *")
    run = host.start("good2")
    host.held()
    host.say(run, "back", text="the job was cancelled")
    host.kill()
    host.deploy("nothere")
    host.runs_only("good1")


def test_run_whose_job_is_silent_gives_way_to_one_that_waits(hosts: list[Alone]) -> None:
    """A killed job would keep the lock for five minutes; alone, it is listened for so long."""
    host = hosts[0]
    first = host.start("good2", gates="yes", patience=10)
    host.say(first, "lock")
    host.at(first, "switch")
    time.sleep(3)
    assert "contact with" not in host.log(first), "nobody waits"
    began = time.monotonic()
    assert host.deploy("good3", lock_timeout=60) == "live good3-1"
    assert time.monotonic() - began < 8
    assert host.end(first) == "failed lost contact with the CI job"
    assert "no contact with the CI job" in host.log(first)
