"""Whether a run that was disturbed has told the truth, with the right exit code and in time."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from standins.support import Done
from tests.hostile.proxy import SILENT, Effect

SHORT, LONG = 6.0, 30.0  # DEPLOY_TIMEOUT, seconds: where only the clock can tell, and else
AFTER = 30.0  # seconds for questions and restores after it
SLACK = 1.0  # seconds in which our own program starts and ends
RESERVE = 10.0  # seconds that a machine may need besides when it has more to do than it can
UNCHANGED = {2, 10, 11, 12}  # codes that say that nothing was changed
READS = {"plan", "history", "status"}
CODES = frozenset({0, 11, 20, 21, 22})  # done, unreachable, failed, unknown, live
OURS = re.compile(r"Traceback \(most recent call last\)|a bug in ci-deploy|a bug: ")


@dataclass(frozen=True)
class State:
    """What the server has: the live revision of the app (empty for none), and all the rest."""

    revision: str
    rest: object
    exists: bool = True


@dataclass(frozen=True)
class Case:
    """One disturbance of one command."""

    command: str
    what: str
    limit: float = LONG  # DEPLOY_TIMEOUT, in seconds
    lasting: bool = False  # the server could not be asked any more
    codes: frozenset[int] = CODES
    reported: bool = True  # it could write its report, and had the time for it

    def __str__(self) -> str:
        return f"{self.command}: {self.what}{', and then nothing works' * self.lasting}"


def slack() -> float:
    """Seconds that a run may take beyond what is promised."""
    busy = os.getloadavg()[0] > 2 * (os.cpu_count() or 1)
    return SLACK + (RESERVE if busy else 0.0)


def fault(command: str, step: str, effect: Effect, *, lasting: bool) -> Case:
    """Something that goes wrong with a connection."""
    limit = SHORT if effect in SILENT else LONG
    codes = CODES | {12} if effect is Effect.GARBAGE else CODES  # a key that came damaged
    return Case(command, f"{effect.value} at {step}", limit, lasting, codes)


def problems(
    case: Case, done: Done, before: State, after: State, wanted: str, *, busy: bool
) -> list[str]:
    """What is wrong; `wanted` is the revision that was to be live (empty: none), `after` what the
    server has when all that was begun there has ended, `busy` whether that took longer than we."""
    said = done.output + done.errors
    found = [f"our own fault is shown: {shown[0]}" for shown in OURS.finditer(said)]
    if done.seconds > case.limit + AFTER + slack():
        found.append(f"it took {done.seconds:.0f} s")
    if done.code not in case.codes:
        found.append(f"exit code {done.code}")
    if case.command in READS:
        return found + (["a command that only reads has changed something"] * (before != after))
    changed = (before.revision, before.exists) != (after.revision, after.exists)
    reached = (after.revision, after.exists) == (wanted, case.command != "destroy")
    if done.code in {0, 22} and not reached:
        found.append(f"{done.code}, but it is not there")
    if done.code in UNCHANGED and changed:
        found.append(f"{done.code} says that nothing was changed")
    if done.code == 20 and reached and changed:
        found.append("20, but it was done")
    in_time = done.seconds < case.limit - 1
    if done.code == 21 and not case.lasting and in_time and not busy:
        found.append("21, though the server could be asked")
    return found + (_words(done, before, after, busy=busy) if case.reported else [])


def _words(done: Done, before: State, after: State, *, busy: bool) -> list[str]:
    """What the report says about what is live, where it says something."""
    said = done.report.get("live_revision", "")
    right = {after.revision, before.revision} if busy else {after.revision}
    found = []
    if said and said not in right:
        found.append(f"it says that {said[:7]} is live, not {after.revision[:7]}")
    if done.report and done.report.get("exit_code") != done.code:
        found.append(f"the report has {done.report.get('exit_code')}, it ended with {done.code}")
    if not done.report.get("finished"):
        found.append("no report of its end")
    return found
