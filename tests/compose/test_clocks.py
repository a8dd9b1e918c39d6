"""Clocks that are set while a run goes on, or between two: those of hosts (a `date` of ours says
what they say), and those of runners."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ci_deploy.layers.providers.compose import history
from ci_deploy.layers.providers.compose.facts import HostFacts, read_facts
from ci_deploy.layers.providers.compose.hosts import Host
from ci_deploy.layers.providers.compose.run import next_name
from ci_deploy.layers.providers.docker import backups
from ci_deploy.net.ssh.server import server
from tests.compose.alone import APP, Alone

DAY, YEAR = 86_400, 365 * 86_400
DATE = """#!/bin/sh
case $* in *-r*) exec /bin/date "$@" ;; esac
exec /bin/date -d "@$(($(/bin/date +%s) + $(cat "{0}/offset")))" "$@"
"""


class Clock:
    """What `date` says, for programs that have `folder` in their PATH."""

    def __init__(self, folder: Path) -> None:
        self.offset = folder / "offset"
        self.set(0)
        (folder / "date").write_text(DATE.format(folder))
        (folder / "date").chmod(0o755)

    def set(self, seconds: int) -> None:
        """So many seconds before or after the right time, from now on."""
        self.offset.write_text(f"{seconds}\n")


def _facts(host: Alone) -> Host:
    facts = read_facts(host.call("status", APP).stdout.decode())
    return Host(server("deploy@a.example.com"), facts)


@pytest.mark.parametrize("jump", [-YEAR, YEAR])
def test_order_of_releases_is_that_in_which_they_went_live(host: Alone, jump: int) -> None:
    """The second one while the clock is wrong; the one before the last is what a rollback means,
    and what is made last is not what is removed first."""
    clock = Clock(host.engine)
    for tag, at in (("good1", 0), ("good2", jump), ("good3", 0)):
        clock.set(at)
        assert host.deploy(tag, keep=2) == f"live {tag}-1"
    found = _facts(host)
    assert history.target(APP, [found], "") == "good2-1"
    assert sorted(found.facts.releases) == ["good2-1", "good3-1"]
    assert [each.release for each in history.deployments([found])] == [
        "good3-1", "good2-1", "good1-1",
    ]  # fmt: skip


@pytest.mark.parametrize("jump", [-YEAR, DAY])
def test_clock_that_is_set_during_a_run_ends_no_waiting_and_gives_no_absurd_times(
    host: Alone, jump: int
) -> None:
    """It waits for the word of the job, for the lock and for a container to be well."""
    clock = Clock(host.engine)
    first = host.start("good1", gates="yes", patience=60)
    host.at(first, "lock")
    clock.set(jump)
    host.say(first, "lock")
    host.at(first, "switch")
    second = host.start("good2", lock_timeout=60)
    clock.set(0)
    host.say(first, "switch")
    host.at(first, "keep")
    clock.set(jump)
    host.say(first, "keep")
    assert [host.end(first), host.end(second)] == ["live good1-1", "live good2-1"]
    took = [each["seconds"] for each in _facts(host).facts.audit]
    assert len(took) == 4
    assert all(0 <= seconds < 60 for seconds in took), took


def _forgotten(folder: Path, made: list[str]) -> list[str]:
    """The dumps that are removed after the last of these was made."""
    dumps = folder / APP
    dumps.mkdir(parents=True)
    for name in made:
        (dumps / f"{name}.about").touch()
        (dumps / f"{name}.sql.gz").touch()
    program = (
        f"base={folder.parent}\napp={APP}\n{backups.DATABASES.read_text()}\nforget_backups db ''\n"
    )
    path = {"PATH": f"{folder.parent}:/usr/bin:/bin"}
    subprocess.run(["sh", "-c", program], env=path, check=True)
    left = {each.name.removesuffix(".about") for each in dumps.glob("*.about")}
    assert left == {each.name.removesuffix(".sql.gz") for each in dumps.glob("*.sql.gz")}
    return [name for name in made if name not in left]


def test_dump_that_was_just_made_is_kept_beside_those_of_a_clock_that_was_wrong(
    tmp_path: Path,
) -> None:
    """Six of a year that has not come, and then one of today, made before its migration."""
    Clock(tmp_path)
    future = [f"209{year}0101T000000Z-db" for year in range(6)]
    today = f"{datetime.now(UTC):%Y%m%dT000000Z}-db"
    assert _forgotten(tmp_path / "backups", [*future, today]) == future[:2]


def test_dump_that_was_just_made_is_kept_when_the_clock_is_set_back(tmp_path: Path) -> None:
    clock = Clock(tmp_path)
    clock.set(-10 * YEAR)
    wrong = f"{datetime.now(UTC).year - 10}0101T000000Z-db"
    right = [f"2026010{day}T000000Z-db" for day in range(1, 6)]
    assert _forgotten(tmp_path / "backups", [*right, wrong]) == right[:1]


def test_two_dumps_in_the_same_second_have_two_names(tmp_path: Path) -> None:
    """A clock that was set back comes by a second time."""
    stopped = '#!/bin/sh\necho "20260101T00000$(cat "$0.seconds")Z"\n'
    (tmp_path / "date").write_text(stopped)
    (tmp_path / "date").chmod(0o755)
    (tmp_path / "date.seconds").write_text("1")
    (tmp_path / "sleep").write_text(f"#!/bin/sh\necho 2 >{tmp_path}/date.seconds\n")
    (tmp_path / "sleep").chmod(0o755)
    dumps = tmp_path / "backups" / APP
    dumps.mkdir(parents=True)
    (dumps / "20260101T000001Z-db.about").touch()
    program = f"base={tmp_path}\napp={APP}\n{backups.DATABASES.read_text()}\nnew_name db\n"
    argv, path = ["sh", "-c", program], {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(argv, env=path, capture_output=True, text=True, check=True)
    assert done.stdout == "20260101T000002Z-db\n"


def test_age_of_a_review_app_is_by_the_clock_of_its_host(tmp_path: Path) -> None:
    """The clock of a runner may be years ahead: then each of them would be stale."""
    host = Alone(tmp_path)
    clock = Clock(host.engine)
    mark = host.path / ".ci-deploy/reviews/shop-topic/review"
    mark.parent.mkdir(parents=True)
    mark.write_text("shop topic\n")
    for ahead, days in ((0, 0), (3 * DAY + 60, 3)):
        clock.set(ahead)
        _, name, age, *rest = host.call("reviews").stdout.decode().split()
        assert (name, int(age) // DAY, rest) == ("shop-topic", days, ["shop", "topic"])


def test_name_of_a_run_comes_after_those_that_hosts_know() -> None:
    """Runs are told and tidied up by their names, and clocks of runners differ."""
    now = datetime(2026, 11, 30, 9, 30, 0, 5000, tzinfo=UTC)
    log = [{"run": "20261130T093000.004-abcd"}, {"run": "20251130T000000.000-boot"}, {"run": ""}]
    assert next_name([[], log], now) == "20261130T093000.005"
    assert next_name([log, [{"run": "20291231T235959.999-0001"}]], now) == "20300101T000000.000"


def test_several_hosts_with_different_clocks_keep_the_order_of_each_log() -> None:
    def log(*times: int) -> Host:
        audit = [
            {"at": f"2026-11-30T0{at}:00:00Z", "outcome": "live", "release": f"{n}"}
            for n, at in enumerate(times)
        ]
        return Host(server("deploy@a.example.com"), HostFacts(audit=audit))

    found = history.deployments([log(5, 2, 6), log(1)])
    assert [(each.release, each.at[11:13]) for each in found] == [
        ("2", "06"), ("1", "02"), ("0", "05"), ("0", "01"),
    ]  # fmt: skip
