"""Signals at some moment of a run: what each may come to, and what is left then."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

from standins.support import Done, Run
from tests.hostile.judge import Case, slack
from tests.hostile.machines import Place, left
from tests.hostile.worlds import Trial

GONE = 5.0  # seconds after a cancel
# Load on a processor at which a program that has just begun may need longer than that to say so.
BUSY = 4.0 * (os.cpu_count() or 1)
ENDS = frozenset({0, 20, 21, 22})  # of one that came too late, or did not matter
TERM, INT, HUP, KILL, PIPE = (
    signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL, signal.SIGPIPE,
)  # fmt: skip
CANCELS = {TERM: 143, INT: 130, HUP: 143}


@dataclass(frozen=True)
class Kill:
    """Signals to us, one a tenth of a second after the other; `everyone`: to all that we have
    started, too, as runners do that end a process tree."""

    signals: tuple[signal.Signals, ...]
    everyone: bool = False

    @property
    def hard(self) -> bool:
        """Whether we cannot say anything any more."""
        return KILL in self.signals

    @property
    def codes(self) -> frozenset[int]:
        """What we may end with; the signal itself kills an interpreter that has just begun."""
        found = {-signum for signum in self.signals} | {CANCELS.get(self.signals[0], 0)}
        return ENDS | found

    def __str__(self) -> str:
        names = " and ".join(signum.name for signum in self.signals)
        return f"{names} to {'everyone' if self.everyone else 'us'}"


ALL = (
    Kill((KILL,)), Kill((TERM,)), Kill((INT,)), Kill((HUP,)), Kill((PIPE,)), Kill((TERM, TERM)),
    Kill((INT, INT)), Kill((TERM, KILL)), Kill((TERM,), everyone=True),
    Kill((KILL,), everyone=True),
)  # fmt: skip


def strike(trial: Trial, kill: Kill, after: float) -> list[str]:
    """What is wrong with how the trial's command took it, so many seconds after its start."""
    case = Case(trial.command, f"{kill} after {after:.2f} s", codes=kill.codes, reported=False)
    found = list[str]()
    with Place.make() as place:

        def act(words: Sequence[str]) -> Done:
            run = trial.start(*words, **place.env(trial.world.checkout.path))
            struck = _signal(run, kill, place, after)
            done = run.done(timeout=240)
            found.extend(f"{case}: {each}" for each in _judged(kill, done, struck))
            return done

        found = [*trial.attempt(case, act, met=lambda: True), *found]
        remains = left(trial, place, killed=kill.hard, everyone=kill.everyone)
        return [*found, *(f"{case}: {each}" for each in remains)]


def _signal(run: Run, kill: Kill, place: Place, after: float) -> float:
    """When it was signalled (time.monotonic()); 0 when it had ended before."""
    try:
        run.process.wait(after)
    except subprocess.TimeoutExpired:
        at = time.monotonic()
    else:
        return 0.0
    for number, signum in enumerate(kill.signals):
        time.sleep(0.1 if number else 0)
        for pid in place.pids() if kill.everyone else []:
            if pid != run.process.pid:
                _send(pid, signum)
        run.signal(signum)
    return at


def _send(pid: int, signum: signal.Signals) -> None:
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        return


def _judged(kill: Kill, done: Done, struck: float) -> list[str]:
    """What a cancel has to say, and by when it has to be over."""
    if kill.hard or not struck or kill.signals[0] is PIPE or done.code < 0:
        return []
    found = []
    if time.monotonic() - struck > GONE + slack():
        found.append(f"gone {time.monotonic() - struck:.0f} s after the signal")
    said = done.output + done.errors
    if "the clean-up did not end in time" in said and os.getloadavg()[0] > BUSY:
        return found
    if done.code in CANCELS.values() and "before anything was started" not in said:
        if not done.report.get("finished"):
            found.append(f"no report of its end\n{said}")
        elif not done.report.get("live") and "cancelled" not in done.report.get("message", ""):
            found.append(f"nothing about what is live\n{said}")
    return found


def moments(trial: Trial, count: int) -> list[tuple[Kill, float]]:
    """So many kills at random moments of the command, from a fixed seed; each kind comes."""
    choose = random.Random(f"20261130 {trial.command}")
    kinds = [ALL[at % len(ALL)] for at in range(count)]
    choose.shuffle(kinds)
    return [(kill, choose.uniform(0.05, 1.05) * trial.took) for kill in kinds]
