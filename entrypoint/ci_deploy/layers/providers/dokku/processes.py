"""The processes of an app on the server: their containers, states and restarts.

`ps:inspect` is Docker's own answer, with all of it at once. When it is not complete (there is no
container, one is missing, or another scheduler runs), the slower `ps:report` decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ci_deploy.layers.providers.dokku import answers
from ci_deploy.process.program import Result
from ci_deploy.settings.lines import from_json

SHORT = 11  # characters of a container's id, as `ps:report` shows it


class Process(NamedTuple):
    """One process of the app, in one container."""

    name: str  # as in `ps:report`: web 1
    state: str  # Docker's or Dokku's: running, exited, restarting, missing, created, paused
    cid: str = ""
    started: str = ""  # by Docker's clock; empty: unknown
    restarts: int = 0  # how often Docker has restarted it


class Health(NamedTuple):
    """The health of an app's processes."""

    processes: tuple[Process, ...] = ()
    fine: bool = True  # whether Dokku itself calls them running, if it was asked
    lacking: bool = False  # whether there are none although the scale wants some
    idle: bool = False  # there are none, and the scale wants none
    known: bool = True  # False: there was no time to ask

    @property
    def up(self) -> bool:
        """Whether all processes run, or none is wanted. (Dokku's `Running: true` also counts one
        that Docker restarts.)"""
        return self.known and self.fine and not self.lacking and not self.down

    @property
    def down(self) -> list[str]:
        """The names of processes that do not run."""
        return [each.name for each in self.processes if each.state != "running"]

    @property
    def detail(self) -> str:
        """How many processes are up and which are down, like "1 of 2 processes up (down: web 2)";
        empty if that is not known."""
        if not self.known:
            return ""
        if not self.processes and not self.lacking:
            return "no process is scaled up"
        there, down = len(self.processes), self.down
        named = f" (down: {', '.join(down)})" if down else ""
        wanted = ", although the app is not scaled to 0" if self.lacking else ""
        return f"{there - len(down)} of {there} processes up{named}{wanted}"

    @property
    def containers(self) -> frozenset[str]:
        """The ids of the containers that get the traffic: those of `web`, or all if there is
        none."""
        web = [each.cid for each in self.processes if each.name.split()[0] == "web"]
        return frozenset(filter(None, web or [each.cid for each in self.processes]))


def inspected(answer: Result) -> tuple[Process, ...]:
    """Parse `ps:inspect`, the JSON of `docker inspect`; empty when the command failed, or a
    container lacks what we need."""
    try:
        found = from_json(answer.out) if answer.exit_code == 0 else []
        return tuple(_process(each) for each in found)
    except (ValueError, TypeError, KeyError, AttributeError):
        return ()


def _process(raw: Any) -> Process:
    state = raw["State"]
    name = raw["Config"]["Labels"]["com.dokku.dyno"].replace(".", " ")
    cid, restarts = raw["Id"][:SHORT], int(raw["RestartCount"])
    return Process(name, state["Status"], cid, state["StartedAt"], restarts)


def reported(ps: Result) -> Health:
    """Parse `ps:report`. An app without processes counts as `fine` here; whether it should have
    some depends on its scale."""
    state = answers.report(ps)
    found = [
        Process(match["name"], match["state"], match["cid"] or "")
        for match in re.finditer(
            r"(?m)^\s*Status (?P<name>\S+ \d+): +(?P<state>\S+)(?: \(CID: (?P<cid>\w+)\))?", ps.text
        )
    ]
    none = state.get("processes") == "0"
    return Health(tuple(found), fine=none or state.get("running") == "true")


def restarted(before: Sequence[Process], now: Iterable[Process]) -> list[str]:
    """The names of processes whose container was restarted or replaced between two queries,
    `before` and `now`; new processes are not among them."""
    was = {each.name: each for each in before}
    return [
        each.name
        for each in now
        if each.name in was and each._replace(state="") != was[each.name]._replace(state="")
    ]
