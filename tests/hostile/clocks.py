"""Clocks of runners that are set while a run goes on, and times that nobody can believe."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import NamedTuple

from standins.support import Done
from tests.hostile.judge import Case
from tests.hostile.worlds import Trial

HOUR, YEAR = 3600, 365 * 86_400
# In place of both clocks of the wall: what has to be added changes at each moment of $JUMPS.
PROGRAM = """
import datetime, os, runpy, sys, time
real, begun = time.time, time.monotonic()
jumps = [tuple(map(float, each.split(":"))) for each in os.environ["JUMPS"].split()]
def now():
    past = [by for at, by in jumps if time.monotonic() - begun >= at]
    return real() + (past[-1] if past else 0.0)
class Datetime(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(now(), tz)
time.time, datetime.datetime = now, Datetime
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
SECTION = re.compile(r"section_(start|end):(-?\d+):(\w+)")
TOOK = re.compile(r"(-?\d[\d,.]*) ?(s|seconds|min|minutes|h|hours|days)\b")


class Jump(NamedTuple):
    """Moments of a run, as shares of it, and by how many seconds the clock is wrong from then."""

    name: str
    steps: tuple[tuple[float, int], ...]


ALL = (
    Jump("an hour back", ((0.5, -HOUR),)),
    Jump("an hour ahead", ((0.5, HOUR),)),
    Jump("years back", ((0.3, -20 * YEAR),)),
    Jump("years ahead", ((0.3, 20 * YEAR),)),
    Jump("before 1970", ((0.2, -100 * YEAR),)),
    Jump("years back from the beginning", ((0.0, -20 * YEAR),)),
    Jump("from 1970 to now", ((0.0, -56 * YEAR), (0.6, 0))),
    Jump("from the future to now", ((0.0, 10 * YEAR), (0.6, 0))),
    Jump("back and forth", tuple((n / 10, (-1) ** n * 7 * HOUR) for n in range(10))),
)


def sweep(trial: Trial, years: int) -> Done:
    """Remove what was not deployed for two weeks, on a runner whose clock is wrong."""
    through, jump = [sys.executable, "-c", PROGRAM], f"0:{years * YEAR}"
    return trial.run("destroy", "--stale", "14", "--yes", through=through, JUMPS=jump)


def disturb(trial: Trial, jump: Jump) -> list[str]:
    """What is wrong with how the trial's command took it."""
    case = Case(trial.command, f"a clock that is set {jump.name}", codes=frozenset({0}))
    jumps = " ".join(f"{share * trial.took:.2f}:{by}" for share, by in jump.steps)
    found = list[str]()

    def act(words: Sequence[str]) -> Done:
        through = [sys.executable, "-c", PROGRAM]
        done = trial.run(*words, through=through, JUMPS=jumps, DEPLOY_TIMEOUT="60")
        found.extend(f"{case}: {each}\n{done.output}" for each in _absurd(done))
        return done

    return [*trial.attempt(case, act, met=lambda: False), *found]


def _absurd(done: Done) -> list[str]:
    """Durations that cannot be true."""
    found = []
    opened: dict[str, int] = {}
    for kind, at, name in SECTION.findall(done.output):
        took = int(at) - opened.setdefault(name, int(at))
        if kind == "end" and not 0 <= took <= done.seconds + 1:
            found.append(f"the section {name} took {took} s")
    told = [(number, unit) for number, unit in TOOK.findall(done.output) if number[0] == "-"]
    found += [f"{number} {unit}" for number, unit in told]
    reported = [each["seconds"] for each in done.report.get("events", [])]
    reported += [done.report["duration"]] if done.report else []  # `history` writes none
    found += [f"{each} s" for each in reported if not 0 <= each <= done.seconds + 1]
    return found
