"""Releases that are kept in a swarm: which one to go back to, and what can go."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ci_deploy.errors import Refused
from ci_deploy.layers.providers.swarm import records
from ci_deploy.layers.providers.swarm.manager import script
from ci_deploy.layers.providers.swarm.state import Kept, Stack, read_stack
from ci_deploy.layers.providers.swarm.store import Store
from ci_deploy.process.program import Result
from ci_deploy.state import Live


def record(number: int, outcome: str = "live", release: str = "", **more: str) -> Kept:
    """One that was written at a minute."""
    name, at = f"ci-deploy.st.2026{number:02}", f"2026-01-01T00:{number:02}:00Z"
    labels = {"kind": "record", "outcome": outcome, "at": at, "run": name, **more}
    ends = "" if outcome == "started" else ".end"
    told = {"release": release or f"t{number}-abc", **labels}
    return Kept(name + ends, told, version=2 * number + bool(ends))


def stack(*kept: Kept) -> Stack:
    """With these."""
    return Stack("st", kept=list(kept))


def test_the_one_before_is_the_newest_that_was_live_and_is_not() -> None:
    known = stack(record(1), record(2), record(3, "rolled-back"), record(4))
    now = Live("f00", True, "t4-abc")
    assert records.target("st", known, now, "").label("release") == "t2-abc"
    assert records.target("st", known, now, "t1-abc").label("release") == "t1-abc"
    paused = Live("f00", False, "t4-abc")
    assert records.target("st", known, paused, "").label("release") == "t4-abc"


def test_what_was_never_live_is_no_target() -> None:
    known = stack(record(1, tag="v1", revision="f" * 40), record(2, "failed"))
    assert records.target("st", known, Live("f", True, "t1-abc"), "v1").label("tag") == "v1"
    with pytest.raises(Refused, match="there is no release t2-abc of st to roll back to"):
        records.target("st", known, Live("f", True, "t1-abc"), "t2-abc")
    with pytest.raises(Refused, match="no release of st to roll back to"):
        records.target("st", known, Live("f", True, "t1-abc"), "previous")
    assert records.target("st", known, Live(), "fffffff").label("tag") == "v1"


def test_order_is_the_one_of_the_swarm_whatever_the_clocks_of_runners_say() -> None:
    lines = [
        "version 26.1", "index 90 1 late", "index 210 1 early", "index 150 1 middle",
        *(
            f"config\t{name}\tst\trecord\t{name}-r\tf00\t\t2026-01-0{day}T00:00:00Z\t{name}\t\tlive"
            for name, day in (("early", 1), ("late", 9), ("middle", 5))
        ),
    ]  # fmt: skip
    known = read_stack("st", lines)
    assert [each.release for each in records.deployments(known)] == [
        "early-r",
        "middle-r",
        "late-r",
    ]
    assert records.target("st", known, Live("f00", True, "early-r"), "").name == "middle"


def test_history_tells_each_run_once() -> None:
    known = stack(
        record(1, "started"), record(1), record(2, "started"),
        record(3, "live", action="rollback"), record(4, "rolled-back", pipeline="url"),
    )  # fmt: skip
    told = [(each.release, each.status) for each in records.deployments(known)]
    assert told == [
        ("t4-abc", "rolled-back"),
        ("t3-abc", "live by rollback"),
        ("t2-abc", "started; its end was not recorded"),
        ("t1-abc", "live"),
    ]
    assert records.deployments(known)[0].by == "url"


def test_only_what_nobody_can_go_back_to_is_removed() -> None:
    content = {"kind": "content"}
    runs = [record(number, uses=f"c{number}") for number in range(1, 8)]
    contents = [Kept(f"c{number}", content) for number in range(1, 10)]
    foreign = Kept("theirs", {"kind": "other"})
    known = stack(*runs, *contents, foreign, Kept("s1", content, "secret"))
    data = {"configs": {"x": {"name": "c8"}}, "secrets": {}}
    gone = records.superfluous(known, data, "t8-abc")
    assert gone == [
        "config:ci-deploy.st.202603.end", "config:ci-deploy.st.202602.end",
        "config:ci-deploy.st.202601.end", "config:c1", "config:c2", "config:c3", "config:c9",
        "secret:s1",
    ]  # fmt: skip


def test_names_and_labels_of_a_run() -> None:
    run = records.begin("a" * 60, "deploy", {"revision": "f00", "actor": "", "x": "y"}, "r")
    name, labels = run.record("live", uses="a b")
    assert len(name) <= 64
    assert "com.ci-deploy.uses=a b" in labels
    assert "com.ci-deploy.revision=f00" in labels
    assert not any(each.startswith(("com.ci-deploy.actor", "com.ci-deploy.x")) for each in labels)
    assert run.record("started")[0] == run.name


def test_images_are_kept_by_their_digest() -> None:
    data = {"services": {"a": {"image": "r/i:1@sha256:x"}, "b": {"image": "r/i:1"}}}
    assert records.images(data) == "a=sha256:x"


def test_service_that_stays_is_a_warning(tmp_path: Path) -> None:
    """The release is live all the same; configs that are still in use are nobody's worry."""
    docker = tmp_path / "docker"
    docker.write_text(
        "#!/bin/sh\n[ $3 = web ] || { echo trying >&2; echo no such $1 >&2; exit 1; }\n"
    )
    docker.chmod(0o755)
    warned: list[str] = []

    def change(names: Sequence[str], words: Sequence[str], _what: str) -> Result:
        argv = ["sh", "-c", script(*names), "ci-deploy", *words]
        path = f"{tmp_path}:{os.environ['PATH']}"
        done = subprocess.run(argv, capture_output=True, text=True, check=True, env={"PATH": path})
        return Result(tuple(argv), lines=tuple(done.stdout.splitlines()))

    store = Store(cast("Any", SimpleNamespace(change=change, warn=warned.append)))
    store._remove(["service:web", "service:st_old", "config:c1"], "remove old")
    assert warned == ["the service st_old could not be removed: no such service"]
