"""One-off commands over connections that break, stall and lie: each is run once or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from standins.support import Done, until
from tests.hostile.judge import AFTER, LONG, OURS, SHORT, slack
from tests.hostile.proxy import SILENT, Effect
from tests.hostile.tally import Kind, Record
from tests.hostile.worlds import Dokku, Trial


def _wrong(done: Done, ran: int, limit: float) -> list[str]:
    """What is wrong with a command that has run so many times."""
    found = [f"our own fault is shown: {shown[0]}" for shown in OURS.finditer(done.errors)]
    if ran > 1:
        found.append(f"it ran {ran} times")
    if done.code == 0 and not ran:
        found.append("0, but it did not run")
    if ran and done.code in {2, 11, 12}:
        found.append(f"{done.code} says that nothing was done, but it ran")
    if done.seconds > limit + AFTER + slack():
        found.append(f"it took {done.seconds:.0f} s")
    return found


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.hostile)])
def test_command_is_never_run_twice(
    dokku_world: Dokku, tmp_path: Path, record_property: Record, every: bool
) -> None:
    world, trial, lost = dokku_world, Trial(dokku_world, "status"), list[str]()
    note = tmp_path / "ran"
    words = ("run", "--", "sh", "-c", f"echo ran >>{note}; echo it has run")
    before = world.calls()
    assert trial.run(*words).code == 0
    count = world.calls() - before
    cases = [(effect, step) for step in world.steps("run", count) for effect in Effect]
    cases = cases if every else [(Effect.CUT, f"answer {count}")]
    for number, (effect, step) in enumerate(cases):
        limit = SHORT if effect in SILENT else LONG
        note.unlink(missing_ok=True)
        world.proxy.arm(world.steps("run", count)[step], effect, seed=number)
        done = trial.run(*words, DEPLOY_TIMEOUT=f"{limit:.0f}")
        world.proxy.disarm()
        until(lambda: not world.busy())
        ran = note.read_text().count("ran") if note.exists() else 0
        said = f"{done.code} after {done.seconds:.0f} s\n{done.output}{done.errors}"
        lost += [f"{effect.value} at {step}: {each}\n{said}" for each in _wrong(done, ran, limit)]
    record_property("hostile", [Kind.RUNS.name, len(cases), len(lost)])
    assert not lost, "\n\n".join(lost)
