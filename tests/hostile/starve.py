"""A job whose memory ends: the kernel kills something of it, git, ssh or us, at any moment."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from standins.support import Done, Run, until
from tests.hostile.judge import Case
from tests.hostile.machines import Place, left
from tests.hostile.worlds import Trial

# Done before, a limit of the machine, unreachable, failed, unknown, live.
CODES = frozenset({0, 10, 11, 20, 21, 22})
SIZES = range(12, 76, 4)  # MiB; all together need some sixty
CGROUPS = Path("/sys/fs/cgroup")
JOIN = ("sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"')
# Programs of ours, by their command lines: each has something else to do.
PROGRAMS = {
    "git": rb"^[^\0]*\bgit\0(?!.*push)",
    "git push": rb"^[^\0]*\bgit\0.*\0push\0",
    "git pack-objects": rb"\0pack-objects\0",
    "ssh": rb"^[^\0]*\bssh\0",
    "ssh-agent": rb"^ssh-agent",
    "what ends the ssh-agent": rb"agent\.sh",
}


def pick(trial: Trial, program: str, after: float) -> list[str]:
    """What is wrong with how it took it that one of its programs was killed, the first of these
    that is met so many seconds after its start."""
    case = Case(trial.command, f"SIGKILL to {program} after {after:.2f} s", codes=CODES)
    found = list[str]()
    with Place.make() as place:

        def act(words: Sequence[str]) -> Done:
            run = trial.start(*words, **place.env(trial.world.checkout.path))
            struck = _kill(run, PROGRAMS[program], after)
            done = run.done()
            if (
                struck
                and done.code
                and "git" in program
                and "on this machine" not in done.output + done.errors
            ):
                found.append(f"{case}: it does not say so\n{done.output}{done.errors}")
            return done

        found = [*trial.attempt(case, act, met=lambda: True), *found]
        return [*found, *(f"{case}: {each}" for each in place.left())]


def _kill(run: Run, program: bytes, after: float) -> bool:
    """Whether there was one."""
    assert Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").exists()
    time.sleep(after)
    while run.process.poll() is None:
        for pid in _started_by(run.process.pid):
            with suppress(OSError):
                argv = Path(f"/proc/{pid}/cmdline").read_bytes()
                if re.search(program, argv):
                    os.kill(pid, signal.SIGKILL)
                    return True
        time.sleep(0.001)
    return False


def _started_by(pid: int) -> Iterator[int]:
    """The processes below one. The kernel lists them: to read all of /proc again and again takes
    a processor of its own."""
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, task.read_text().split()):
                yield child
                yield from _started_by(child)


def squeeze(trial: Trial, size: int) -> list[str]:
    """What is wrong with how it took that it had so many MiB of memory together with all that it
    starts: the kernel kills one after the other."""
    codes, alone = CODES | {-signal.SIGKILL}, True
    case = Case(trial.command, f"{size} MiB of memory", codes=codes, reported=False)
    with Place.make() as place, small(size) as group:

        def act(words: Sequence[str]) -> Done:
            nonlocal alone
            through = [*JOIN, str(group)]
            done = trial.run(*words, through=through, **place.env(trial.world.checkout.path))
            alone = done.code >= 0
            return done

        found = trial.attempt(case, act, met=lambda: True)
        remains = left(trial, place, killed=not alone, everyone=True)
        return [*found, *(f"{case}: {each}" for each in remains)]


@contextmanager
def small(size: int) -> Iterator[Path]:
    """A control group with so many MiB of memory. Raises OSError where we may not make one."""
    new = (CGROUPS / "cgroup.controllers").exists()
    folder = CGROUPS / ("" if new else "memory") / f"ci-deploy-{os.getpid()}"
    folder.mkdir()
    try:
        limit = folder / ("memory.max" if new else "memory.limit_in_bytes")
        limit.write_text(str(size * 2**20))
        yield folder
    finally:
        until(lambda: not (folder / "cgroup.procs").read_text())
        folder.rmdir()


def can_limit() -> bool:
    """Whether this machine lets us limit the memory of programs."""
    try:
        with small(64):
            return True
    except OSError:
        return False
