"""What runs on a manager, with a program in place of docker that writes down what it is told."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from ci_deploy.layers.providers.swarm.manager import script

# `stack deploy` takes until `go` is there.
DOCKER = """#!/bin/sh
case "$*" in
*--help) echo --detach ;;
"config ls"*) echo c1 ;;
"config inspect"*) cat "$PLACE/configs" ;;
"service ps"*) cat "$PLACE/tasks" ;;
"service "*) echo "$*" >>"$PLACE/said" ;;
"stack deploy"*)
    while [ "$1" != -c ]; do shift; done
    echo "begin $(cat "$2")" >>"$PLACE/said"
    until [ -e "$PLACE/go" ]; do sleep 0.02; done
    echo end >>"$PLACE/said"
    ;;
*) echo "$1 $2" >>"$PLACE/said" ;;
esac
"""


class Host:
    """A manager's shell."""

    def __init__(self, place: Path) -> None:
        self.place = place
        (place / "bin").mkdir()
        docker = place / "bin/docker"
        docker.write_text(DOCKER)
        docker.chmod(0o755)
        self.configs("7 record st.1")
        self.started: list[subprocess.Popen[bytes]] = []

    def configs(self, *lines: str) -> None:
        """What the swarm has kept."""
        (self.place / "configs").write_text("".join(f"{line}\n" for line in lines))

    def start(self, name: str, words: Sequence[str], stdin: str = "") -> subprocess.Popen[bytes]:
        """Begin a script with what it needs of the host, and of its own."""
        argv = ["sh", "-c", script(name), "ci-deploy", *words]
        path = f"{self.place}/bin:{os.environ['PATH']}"
        env = {"PATH": path, "PLACE": str(self.place), "TMPDIR": str(self.place)}
        child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=env)
        self.started.append(child)
        assert child.stdin
        child.stdin.write(stdin.encode())
        child.stdin.close()
        return child

    def apply(self, stdin: str) -> None:
        """`docker stack deploy` of a release."""
        self.start("apply", ["st", str(self.place)], stdin)

    def back(self) -> None:
        """Of a run whose record is st.1: it has no time, so this ends at once."""
        words = [str(self.place), "st", "", "", "st.1.end", "com.ci-deploy.kind=record"]
        assert self.start("back", words, "password\nbefore").wait(5) == 0

    def scale(self, *counts: str, seconds: int = 60) -> subprocess.Popen[bytes]:
        """Stop services for a restore, or start them."""
        return self.start("scale", [str(self.place), "st", str(seconds), "node.id==no", *counts])

    def tasks(self, *states: str) -> None:
        """What the engine says of each service's tasks."""
        (self.place / "new").write_text("".join(f"{state} 1 second ago\n" for state in states))
        (self.place / "new").rename(self.place / "tasks")

    def said(self) -> list[str]:
        """What docker was told."""
        try:
            return (self.place / "said").read_text().splitlines()
        except FileNotFoundError:
            return []

    def until(self, *lines: str) -> None:
        """Exactly this was said."""
        until = time.monotonic() + 10
        while self.said() != list(lines):
            assert time.monotonic() < until, self.said()
            time.sleep(0.02)

    def idle(self) -> None:
        """What goes on behind the job's back has ended: it removes its directory last."""
        until = time.monotonic() + 10
        while [*self.place.glob("ci-deploy-back.*")]:
            assert time.monotonic() < until
            time.sleep(0.02)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """One on which nothing runs."""
    made = Host(tmp_path)
    yield made
    (tmp_path / "go").touch()
    for each in made.started:
        each.wait(10)
    made.idle()


def test_going_back_and_what_others_deploy_wait_for_each_other(host: Host) -> None:
    """Both at once would leave a part of the services on each of the releases."""
    host.apply("new")
    host.until("begin new")
    host.back()
    time.sleep(0.3)
    assert host.said() == ["begin new"]
    (host.place / "go").touch()
    host.until("begin new", "end", "begin before", "end", "config create")
    (host.place / "go").unlink()
    host.idle()

    (host.place / "said").unlink()
    host.back()
    host.until("begin before")
    host.apply("next")
    time.sleep(0.3)
    assert host.said() == ["begin before"]
    (host.place / "go").touch()
    host.until("begin before", "end", "config create", "begin next", "end")


@pytest.mark.parametrize("since", ["12 record st.2", "12 restore st.restoring"])
def test_nobody_goes_back_over_a_run_that_has_begun_since(host: Host, since: str) -> None:
    """The swarm counts, as text 12 would come before 7; contents and notes are no runs."""
    host.configs(since, "7 record st.1", "30 content app", "31 note st.note")
    (host.place / "go").touch()
    host.back()
    host.idle()
    assert host.said() == []
    host.configs("7 record st.1", "5 record st.0", "30 content app")
    host.back()
    host.until("begin before", "end", "config create")


def test_services_are_stopped_when_nothing_of_them_runs_any_more(host: Host) -> None:
    """Those on every node by a constraint; a job's deploy that goes on would start them again."""
    host.tasks("Shutdown", "Running")
    host.apply("new")
    host.until("begin new")
    stopping = host.scale("st_app=0", "st_agent=none", "st_cron=0")
    time.sleep(0.3)
    assert host.said() == ["begin new"]
    (host.place / "go").touch()
    agent = "service update --quiet --detach --constraint-add node.id==no st_agent"
    scaled = "service scale --detach st_app=0 st_cron=0"
    host.until("begin new", "end", agent, scaled)
    time.sleep(0.4)
    assert stopping.poll() is None
    host.tasks("Shutdown", "Failed")
    assert stopping.wait(10) == 0
    host.tasks("Preparing")
    assert host.scale("st_app=2", "st_agent=every").wait(10) == 0, "the start is not waited for"
    again = "service update --quiet --detach --constraint-rm node.id==no st_agent"
    assert host.said()[-2:] == [again, "service scale --detach st_app=2"]


@pytest.mark.parametrize("lost", [False, True])
def test_what_does_not_stop_or_cannot_be_asked_is_not_taken_for_stopped(
    host: Host, *, lost: bool
) -> None:
    if not lost:
        host.tasks("Running")
    assert host.scale("st_app=0", seconds=1).wait(10) == 1
    host.apply("next")
    host.until("service scale --detach st_app=0", "begin next")
