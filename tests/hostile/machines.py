"""Machines on which something is full, missing, read-only or limited, and what is left on them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from standins.support import Done
from tests.hostile.judge import Case
from tests.hostile.worlds import Trial

NAMESPACE = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
PATIENCE = 20.0  # seconds in which what was killed with us has to be gone
# $T is the directory for temporary files, $W the workspace, $E where this program leaves word.
PROGRAM = """
set -e
{mounts}
set +e
(
{limits}
exec "$@"
)
code=$?
ls -A "$T" >"$E/left" 2>/dev/null
exit $code
"""


@dataclass(frozen=True)
class Machine:
    """What is wrong with a machine: `mounts` in a namespace of its own, `limits` for us alone."""

    name: str
    mounts: str = ""
    limits: str = ""
    env: dict[str, str] = field(default_factory=dict)
    codes: frozenset[int] = frozenset({0})
    words: str = ""  # a pattern that what we say has, where it is not 0
    reported: bool = True


SPACE = 'mount -t tmpfs -o {0} tmpfs "$T"'
READ_ONLY = 'mount --bind "{0}" "{0}"; mount -o remount,bind,ro "{0}"'
FULL = (
    'cp -a "$W" "$E/w"; mount -t tmpfs -o size=4m tmpfs "$W"; cp -a "$E/w/." "$W"; {0}; '
    'dd if=/dev/zero of="$W/filler" bs=1k 2>/dev/null || true'
)
PIPE = 'mkfifo "$E/p"; (exec 3<"$E/p"; sleep {0}) & exec >"$E/p" 2>&1'
LACKING = frozenset({10})
MEMORY = (40, 46, 50, 53, 55, 57, 60, 70, 90, 150)  # MB
ALL = (
    *(
        Machine(f"{size} KiB for temporary files", SPACE.format(f"size={size}k"), codes=LACKING)
        for size in (4, 8, 12, 16, 24, 40, 64)
    ),
    *(
        Machine(f"{count} inodes", SPACE.format(f"size=1m,nr_inodes={count}"), codes=LACKING)
        for count in (2, 3, 5, 8, 12, 16, 20, 24, 30)
    ),
    Machine("TMPDIR is read-only", SPACE.format("ro")),
    Machine("TMPDIR is missing", env={"TMPDIR": "{T}/none"}),
    Machine(
        "everything is read-only",
        'mount -t tmpfs -o ro tmpfs /var/tmp; mount --bind /tmp /tmp; mount --bind "$E" "$E"; '
        "mount -o remount,bind,ro /tmp",
        codes=LACKING,
        words="for temporary files",
        reported=False,
    ),
    Machine("the workspace is read-only", READ_ONLY.format("$W"), reported=False),
    Machine("the workspace is full", FULL.format(":"), reported=False),
    Machine(
        "the one disk is full",
        FULL.format('mkdir "$W/t"; mount --bind "$W/t" "$T"') + "; " + SPACE.format("size=0"),
        codes=LACKING,
        reported=False,
    ),
    Machine("HOME is missing", env={"HOME": "/nonexistent"}),
    Machine("HOME is read-only", env={"HOME": "/proc"}),
    Machine("HOME is not set", limits="unset HOME"),
    *(
        Machine(
            f"{count} open files",
            limits=f"ulimit -n {count}",
            codes=LACKING,
            words="open file",
            reported=count > 24,  # that takes one, too
        )
        for count in (6, 10, 16, 20, 24, 30, 36, 40)
    ),
    *(
        Machine(
            f"{size} MB of memory",
            limits=f"ulimit -v {size * 1000}",
            codes=LACKING,
            words="memory",
            reported=False,  # that takes memory, too
        )
        for size in MEMORY
    ),
    *(
        Machine(
            f"files of {size} KiB", limits=f"ulimit -f {size}", codes=LACKING, reported=size > 4
        )
        for size in (0, 1, 2, 4, 8, 16)
    ),
    Machine("stdin is closed", limits="exec <&-"),
    Machine("stdout is closed", limits="exec >&-"),
    Machine("all of them are closed", limits="exec <&- >&- 2>&-"),
    Machine("the log is full", limits="exec >/dev/full 2>&1"),
    Machine("the log's reader goes at once", limits=PIPE.format(0)),
    Machine("the log's reader goes later", limits=PIPE.format(0.5)),
)


class Place:
    """Where temporary files of one run go, and what is left of the run."""

    def __init__(self, folder: Path) -> None:
        self.tmp, self.evidence = folder / "t", folder / "e"
        self.tmp.mkdir()
        self.evidence.mkdir()

    @classmethod
    @contextmanager
    def make(cls) -> Iterator[Self]:
        """With a short path: sockets are made there."""
        folder = Path(tempfile.mkdtemp(prefix="h-", dir="/tmp"))
        try:
            yield cls(folder)
        finally:
            shutil.rmtree(folder)

    def env(self, workspace: Path) -> dict[str, str]:
        """Variables of the program, and ours."""
        tmp, evidence = str(self.tmp), str(self.evidence)
        return {"TMPDIR": tmp, "T": tmp, "E": evidence, "W": str(workspace), "HOME": tmp}

    def through(self, machine: Machine) -> list[str]:
        """What starts a command on that machine."""
        program = PROGRAM.format(mounts=machine.mounts, limits=machine.limits)
        return [*(NAMESPACE if machine.mounts else []), "bash", "-c", program, "bash"]

    def left(self) -> list[str]:
        """Processes and files that are still there a while after the end."""
        until = time.monotonic() + PATIENCE
        while (found := self._left()) and time.monotonic() < until:
            time.sleep(0.05)
        return found

    def _left(self) -> list[str]:
        inside = self.evidence / "left"
        files = [*os.listdir(self.tmp), *(inside.read_text().split() if inside.exists() else [])]
        inside.unlink(missing_ok=True)
        return [*self.processes(), *(f"{each} is left" for each in files if each != "filler")]

    def processes(self) -> list[str]:
        """Processes that have something to do with the run."""
        return [f"process {pid} is left: {argv}" for pid, argv in self._running()]

    def agent(self) -> bool:
        """Whether there is, or was, an ssh-agent whose wrapper has to remove what is left."""
        return any(self.tmp.glob("ci-deploy-*/ssh/agent"))

    def pids(self) -> list[int]:
        """Their numbers."""
        return [pid for pid, _ in self._running()]

    def _running(self) -> list[tuple[int, str]]:
        ours, found = str(self.tmp).encode(), []
        for pid in filter(str.isdecimal, os.listdir("/proc")):
            try:
                argv = Path(f"/proc/{pid}/cmdline").read_bytes()
                if ours in argv or ours in Path(f"/proc/{pid}/environ").read_bytes():
                    found.append((int(pid), argv.replace(b"\0", b" ").decode(errors="replace")))
            except OSError:
                continue
        return found


def left(trial: Trial, place: Place, *, killed: bool, everyone: bool = False) -> list[str]:
    """What is left of a run. When it was killed before it had an ssh-agent, or with all that it had
    started, nobody was there to remove its private directory: the next run there does it."""
    if killed and (everyone or not place.agent()):
        trial.run("status", **place.env(trial.world.checkout.path))
    return place.left()


def disturb(trial: Trial, machine: Machine) -> list[str]:
    """What is wrong with how the trial's command took it, on that machine."""
    codes = machine.codes | {0}
    case = Case(trial.command, machine.name, codes=codes, reported=machine.reported)
    found = list[str]()
    with Place.make() as place:

        def act(words: Sequence[str]) -> Done:
            workspace = trial.world.checkout.path
            env = {**place.env(workspace), **machine.env}
            env = {name: value.format(**env) for name, value in env.items()}
            done = trial.run(*words, through=place.through(machine), DEPLOY_TIMEOUT="30", **env)
            said = done.output + done.errors
            if done.code and machine.words and not re.search(machine.words, said):
                found.append(f"{case}: it does not say why\n{said}")
            return done

        found = [*trial.attempt(case, act, met=lambda: True), *found]
        found += [f"{case}: {each}" for each in place.left()]
    return found


def can_mount() -> bool:
    """Whether this machine lets us have a namespace for mounts."""
    return subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0
