"""Dynos: judges whether those of a release run; scales, restarts and stops them.

Source: a dyno has the release that it runs and a state (`starting`, `up`, `crashed`, `idle`: an Eco
dyno that sleeps until a request); one-off dynos have the type `run`, the release phase's have the
type `release`. The formation says how many of each type are wanted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ci_deploy.errors import DeployError
from ci_deploy.layers.providers.heroku.api import Api, NotFound, Question

NOT_OURS = {"run", "release"}  # types that are not part of the formation
GOOD = {"up", "idle"}
CRASHED = "crashed"
BY_HAND = {"release", "console", "rake"}  # types that buildpacks add for one-off dynos

Found = Sequence[Mapping[str, Any]]


class Health(NamedTuple):
    """The health of an app's dynos."""

    up: bool  # whether all wanted dynos run
    words: str  # in words, with what is missing, like `1 of 2 dynos up (web.2 crashed)`
    crashed: bool = False  # whether a dyno has crashed
    idle: bool = False  # no dyno is wanted


def health(dynos: Found | None, formation: Found | None, version: int) -> Health:
    """Judge whether all dynos that the formation wants run the release `version`, or a later one.
    `dynos` and `formation` are the API's JSON; None counts as an empty list."""
    wanted = {str(each.get("type")): int(each.get("quantity") or 0) for each in formation or ()}
    wanted.pop("release", None)
    mine = [each for each in dynos or () if each.get("type") not in NOT_OURS]
    good = [each for each in mine if each.get("state") in GOOD and _version(each) >= version]
    if not mine and not any(wanted.values()):
        return Health(up=True, words="scaled to 0 dynos", idle=True)
    there = Counter(str(each.get("type")) for each in mine)
    trouble = [f"{each.get('name')} {_trouble(each, version)}" for each in mine if each not in good]
    for kind, count in wanted.items():
        if there[kind] < count:
            trouble.append(f"{count - there[kind]} of {kind} missing")
    words = f"{len(good)} of {max(sum(wanted.values()), len(mine))} dynos up"
    words += f" ({', '.join(sorted(trouble))})" if trouble else ""
    off = sorted(kind for kind in wanted.keys() - there - BY_HAND if not wanted[kind])
    words += f"; scaled to 0: {', '.join(off)}" if off else ""
    crashed = any(each.get("state") == CRASHED for each in mine)
    return Health(up=not trouble, words=words, crashed=crashed)


def _version(dyno: Mapping[str, Any]) -> int:
    return int((dyno.get("release") or {}).get("version") or 0)


def _trouble(dyno: Mapping[str, Any], version: int) -> str:
    if dyno.get("state") in GOOD:
        return f"still runs v{_version(dyno)}, not v{version}"
    return str(dyno.get("state") or "has no state")


class Dynos:
    """The dynos of one app, and its formation: how many dynos of each process type are wanted."""

    def __init__(self, api: Api, app: str) -> None:
        self._api = api
        self._path = f"/apps/{app}"

    @property
    def questions(self) -> tuple[Question, Question]:
        """The reads for Api.get_all whose answers `health` takes."""
        return Question(f"{self._path}/dynos"), Question(f"{self._path}/formation")

    def wanted(self) -> dict[str, int]:
        """How many dynos of each process type are wanted: type → count. Raises NotFound,
        Unauthorized, Unreachable."""
        found = self._api.get(f"{self._path}/formation")
        return {str(each["type"]): int(each["quantity"]) for each in found}

    def commands(self) -> dict[str, str]:
        """The command of each process type: type → command, as in the Procfile."""
        found = self._api.get(f"{self._path}/formation")
        return {str(each["type"]): str(each.get("command") or "") for each in found}

    def scale(self, name: str, count: int, *, what: str) -> None:
        """Scale the process type `name` to `count` dynos; `what` is the text of the change. Raises
        DeployFailed (also for an unknown type), Unauthorized, Unreachable."""
        body = {"updates": [{"type": name, "quantity": count}]}
        path = f"{self._path}/formation"
        self._api.ensure(
            "PATCH", path, body, what=what, done=lambda: self.wanted().get(name) == count
        )

    def restart(self, name: str = "", *, what: str) -> Callable[[], bool]:
        """Restart the dynos of the process type `name`, or all; returns a function that asks Heroku
        whether all of them have been replaced. Raises DeployFailed, Unauthorized, Unreachable."""
        old = self._running(name)

        def replaced() -> bool:
            return not old & self._running(name)

        path = f"{self._path}/formations/{name}" if name else f"{self._path}/dynos"
        self._api.ensure("DELETE", path, what=what, done=replaced)
        return replaced

    def _running(self, name: str) -> frozenset[str]:
        """Identities of the present dynos; a restarted one has another."""
        return frozenset(
            f"{each.get('id')} {each.get('created_at')}"
            for each in self._api.get(f"{self._path}/dynos")
            if each.get("type") == name or (not name and each.get("type") not in NOT_OURS)
        )

    def with_word(self, word: str) -> list[str]:
        """The names of the dynos, like `run.1234`, whose command contains `word`."""
        found = self._api.get(f"{self._path}/dynos")
        return [str(each["name"]) for each in found if word in str(each.get("command"))]

    def stop(self, name: str) -> bool:
        """Stop the one-off dyno `name`. False when Heroku did not do that, so it may still run."""
        what, path = f"stop the one-off dyno {name}", f"{self._path}/dynos/{name}/actions/stop"

        def done() -> bool:
            return all(each["name"] != name for each in self._api.get(f"{self._path}/dynos"))

        try:
            self._api.ensure("POST", path, what=what, done=done)
        except NotFound:
            return True  # it has already ended
        except DeployError:
            return False
        return True
