"""Whatever is killed at whatever moment: one proven release runs in the end, whole and healthy.

Fixed seeds; a kill of each kind here, all in `make soak`, which prints how they came out. A third
of the releases is broken. Each kill needs three deploys and their waiting: half a minute.
"""

from __future__ import annotations

import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext

import pytest

from standins.compose.app import LABEL, App
from standins.support import until

GOOD = ["good1", "good2", "good3", "good4"]
BROKEN = ["bad1", "crash1"]
REPLICAS = 2

# What is killed, on how many hosts, and how often in `make soak`.
# `beside`: the program, of an app that is replaced without a gap (start-first); or its job.
KINDS = [("job", 1, 30), ("job", 2, 10), ("program", 1, 20), ("host", 1, 10)]
KINDS += [("beside", 1, 40), ("beside job", 1, 40)]
BESIDE = ", update_config: {order: start-first, monitor: 0s}"
ONCE = [pytest.param(kind, hosts, 1) for kind, hosts, _ in KINDS]
ALL = [pytest.param(*kind, marks=pytest.mark.soak) for kind in KINDS]


class Trials:
    """One app that is deployed, killed and looked at again and again."""

    def __init__(self, app: App, choose: random.Random, kind: str) -> None:
        self.app = app
        self.choose = choose
        self.live = "good1"
        self.ends: Counter[str] = Counter()
        self.beside = kind.startswith("beside")
        self.fewest = REPLICAS  # that were healthy, of an app that is to be there all the time
        # Restarted by the engine when the host comes up again, as apps usually are.
        more = BESIDE if self.beside else ""
        app.write(f"{app.small}    restart: unless-stopped\n    deploy: {{replicas: 2{more}}}\n")
        done = app.deploy("good1")
        assert done.code == 0, done.output
        self.took = done.seconds * (1.5 if more else 1)

    def once(self, kind: str) -> None:
        """Begin a deploy, kill at some moment, look."""
        with self._serving() if self.beside else nullcontext():
            self._kill(kind)

    @contextmanager
    def _serving(self) -> Iterator[None]:
        """At no moment, until the next run has ended, is there nobody who serves."""
        host, stop = self.app.hosts[0], f"/tmp/stop-{self.app.name}"
        healthy = f"/usr/bin/docker ps -q --filter {LABEL}.project={self.app.name}"
        loop = (
            f"rm -f {stop}; while [ ! -e {stop} ]; do "
            f"if each=$({healthy} --filter health=healthy); then echo $each | wc -w; fi; "
            "sleep 0.2; done"
        )
        with ThreadPoolExecutor(1) as pool:
            counting = pool.submit(host.root, "sh", "-c", loop)
            try:
                yield
            finally:
                host.root("touch", stop)
                counts = [int(each) for each in counting.result().split()]
        assert counts
        assert min(counts) > 0, f"nobody served for {counts.count(0)} of {len(counts)} looks"
        self.fewest = min(self.fewest, *counts)

    def _kill(self, kind: str) -> None:
        choose, app = self.choose, self.app
        broken = choose.random() < 1 / 3
        tag = choose.choice(BROKEN if broken else [each for each in GOOD if each != self.live])
        app.checkout.commit(f"For {tag}")
        after = choose.uniform(0.1, 1.1 * self.took)
        with_job = choose.random() < 0.5
        running = app.start(tag)
        time.sleep(after)
        if kind.endswith("job") or (kind in {"program", "beside"} and with_job):
            running.signal(signal.SIGKILL)
        if kind in {"program", "beside"}:
            app.hosts[0].kill_runs(*(["docker-compose"] if choose.random() < 0.5 else []))
        elif kind == "host":
            app.hosts[0].kill()
            time.sleep(0.2)
            app.hosts[0].start()
        if self.beside:
            serving = app.versions()
            assert len(serving) >= REPLICAS, f"after {after:.1f} s of {tag}: {serving}"
        done = running.done(timeout=240)
        self._settle()
        moment = f"{kind} after {after:.1f} s of {tag} (exit code {done.code})"
        if kind.endswith("job"):  # no next run is needed
            self._proven({self.live} | (set() if broken else {tag}), moment)
            self.ends["new" if app.current().startswith(f"{tag}-") else "old"] += 1
        else:
            self.ends[self._state(tag)] += 1
        self._next_run(tag, moment)

    def _next_run(self, killed: str, moment: str) -> None:
        """Of another good release, or of what was killed once more."""
        again = killed in GOOD and self.choose.random() < 0.5
        tag = killed if again else self.choose.choice(GOOD)
        done = self.app.deploy(tag)
        assert done.code == 0, f"{moment}, then {tag}: {done.output}"
        self._proven({tag}, f"{moment}, then {tag}")
        self.live = tag

    def _settle(self) -> None:
        """Until no host works any more; where the job is missed, its time is over at once."""
        for host in range(self.app.used):
            until(lambda at=host: self._rests(at), 120)  # type: ignore[misc]

    def _rests(self, host: int) -> bool:
        if self.app.used > 1:
            self.app.lose_patience(host)
        script = f"for r in {self.app.state}/runs/*/alive; do flock -n $r true || exit 1; done"
        return "rests" in self.app.hosts[host].sh(f"({script}) && echo rests", check=False)

    def _state(self, tag: str) -> str:
        """What is left before the next run, as a user of the app would see it."""
        running, pending = self.app.versions(), bool(self.app.read("pending"))
        if running == [tag] * REPLICAS:
            return "new, unproven" if pending else "new"
        if running == [self.live] * REPLICAS:
            return "old, unfinished" if pending else "old"
        return "in part" if running else "down until the next run"

    def _proven(self, tags: set[str], moment: str) -> None:
        """Exactly the replicas of one proven release run on all hosts; nothing is open."""
        found = []
        for host in range(self.app.used):
            current = self.app.current(host).partition("-")[0]
            assert current in tags, f"{moment}: host {host} has {current}"
            until(lambda at=host: len(self.app.versions(at)) == REPLICAS)  # type: ignore[misc]
            self.app.runs(current, REPLICAS, host)
            found.append(self.app.current(host))
        assert len(set(found)) == 1, f"{moment}: {found}"


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("kind", "hosts", "count"), ONCE + ALL)
def test_one_proven_release_runs_whatever_was_killed(
    app: App, kind: str, hosts: int, count: int
) -> None:
    """Takes a minute: each kill is between two whole deploys, since the next one has to heal it."""
    app.use(hosts)
    trials = Trials(app, random.Random(f"20261120 {kind} {hosts}"), kind)
    for _ in range(count):
        trials.once(kind)
    ends = ", ".join(f"{end}: {number}" for end, number in sorted(trials.ends.items()))
    served = f"; at the least {trials.fewest} served" if trials.beside else ""
    told = f"{count} kills of the {kind}, {hosts} hosts: {ends}; all healed{served}"
    print(told, file=sys.stderr)
