"""An app on Heroku: its state from one round of queries, changes of it, and whether it runs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ci_deploy.errors import DeployError, DeployFailed, Locked, Refused, Unreachable
from ci_deploy.layers.providers.heroku import dynos
from ci_deploy.layers.providers.heroku.api import (
    REFUSED,
    UNCHANGED,
    Api,
    NotFound,
    Question,
    ResponseLost,
)
from ci_deploy.layers.providers.heroku.dynos import Dynos
from ci_deploy.layers.providers.heroku.pending import retry_while_away
from ci_deploy.layers.providers.heroku.releases import NEWEST_BUILDS, Release, Releases
from ci_deploy.run.context import Context
from ci_deploy.run.lock_wait import LockWait
from ci_deploy.settings import SECRET_CONFIG_KEY
from ci_deploy.state import Live

CRASHED = 6.0  # seconds: Heroku restarts a crashed dyno at once, but only the first time
PAUSE, LONGEST_PAUSE = 1.0, 5.0  # seconds between two queries while dynos boot
LOCK_PAUSE = 2.0  # seconds between two queries while another job deploys
PENDING = "pending"
# Releases of these stacks have no slug, so which commit runs cannot be known.
NO_SLUGS = {
    "cnb": "it is a Fir app (Cloud Native Buildpacks)",
    "container": "it runs Docker images (stack `container`)",
}
INSTEAD = {
    "container": "Change to buildpacks with `heroku stack:set heroku-24`, or deploy the images to "
    "Dokku or to Docker hosts."
}


class State(NamedTuple):
    """The state of an app, as Heroku reports it. What is unknown, or does not exist, is empty."""

    exists: bool = False
    live: Live = Live()
    release: Release = Release()  # the one that is live
    newest: Release = Release()  # whatever its status is
    undone: Release = Release()  # a later release of the same code that failed
    id: str = ""
    team: str = ""
    region: str = ""
    stack: str = ""
    maintenance: bool = False
    building: str = ""  # the id of a build that is in progress
    crashed: bool = False  # whether a dyno has crashed
    account: str = ""  # the key's account, if the key may read it


class App:
    """One app, which need not exist yet: queries, creates, configures and destroys it, and waits
    for its dynos. Made for the run's app, the base app of a review app, and apps of a promotion."""

    def __init__(self, ctx: Context, api: Api, name: str) -> None:
        self._ctx = ctx
        self.api = api
        self.name = name
        self.path = f"/apps/{name}"
        self.releases = Releases(ctx, api, name)
        self.dynos = Dynos(api, name)
        self._url = ""
        self.parts: frozenset[str] = frozenset()  # slugs that were built from a directory only

    def look(self) -> State:
        """Fetch the complete state; of an app that does not exist, only `account`. Raises
        Unreachable, Unauthorized, ApiRefused."""
        app, account, *rest = self.api.get_all(
            Question(self.path), Question("/account", without=(DeployError,)), *self._brief
        )
        if app is None:
            return State(account=_text(account, "email"))
        self._url = _text(app, "web_url")
        return self._state(*rest)._replace(
            id=_text(app, "id"),
            team=_text(app.get("team"), "name"),
            region=_text(app.get("region"), "name"),
            stack=_text(app.get("stack"), "name"),
            maintenance=bool(app.get("maintenance")),
            account=_text(account, "email"),
        )

    def look_again(self) -> State:
        """Fetch only what changes during a run: releases, builds and dynos. The fields of the app
        itself (`id` to `maintenance`) and `account` are empty then. Raises Unreachable,
        Unauthorized, ApiRefused."""
        return self._state(*self.api.get_all(*self._brief))

    @property
    def _brief(self) -> tuple[Question, ...]:
        builds = Question(f"{self.path}/builds", NEWEST_BUILDS.format(10), without=REFUSED)
        return (self.releases.question, *self.dynos.questions, builds)

    def _state(self, releases: Any, running: Any, formation: Any, builds: Any) -> State:
        listed = self.releases.known(releases)
        current = self.releases.live(listed)
        newest = listed[0] if listed else Release()
        pending = [
            _text(build, "id") for build in builds or () if _text(build, "status") == PENDING
        ]
        now = dynos.health(running, formation, current.version)
        live = Live(
            revision=self.releases.commit(current.slug),
            up=now.up,
            release=current.name if current.slug else "",
            url=self._url,
            detail=now.words,
            busy=newest.status == PENDING or bool(pending),
            idle=now.idle,
        )
        building = next(iter(pending), "")
        return State(
            exists=True,
            live=live,
            release=current,
            newest=newest,
            undone=_undone(listed, current),
            building=building,
            crashed=now.crashed,
        )

    def check_stack(self, state: State) -> None:
        """Raise Refused for an app of a stack whose releases name no slug: which commit runs could
        not be verified."""
        if why := NO_SLUGS.get(state.stack):
            message = f"{self.name} cannot be deployed by ci-deploy: {why}."
            hint = "Its releases name no slug, so which commit runs could not be verified. "
            hint += INSTEAD.get(state.stack, "Deploy to a Cedar app with buildpacks instead.")
            raise Refused(message, hint=hint)

    def wait_for_others(self) -> State:
        """Wait until no build or release of the app is pending (when planning, do not wait);
        returns the state after that, as `look_again` does.

        Raises Locked when LOCK_TIMEOUT or DEPLOY_TIMEOUT is over, Unreachable.
        """
        wait, what = LockWait(self._ctx), ""

        def locked() -> Locked:
            long = f"for over {self._ctx.settings.lock_timeout} s"
            long = "until DEPLOY_TIMEOUT" if wait.limit == "DEPLOY_TIMEOUT" else long
            message = f"another build or release of {self.name} ({what}) has been running {long}."
            return Locked(message, hint=f"Run the job again later, or raise {wait.limit}.")

        while True:
            try:
                state = self.look_again()
            except Unreachable:
                over = wait.left <= 0
                if not wait.told or (over and wait.limit == "LOCK_TIMEOUT"):
                    raise
                if over:  # too late to ask
                    raise locked() from None
                continue  # (this took a while, with retries)
            if not state.live.busy or self._ctx.planning:
                # (a release that has just ended may be in only one of the responses)
                return self.look_again() if wait.told else state
            what = f"build {state.building}" if state.building else state.newest.name
            words = f"another build or release of {self.name} is running ({what}); waiting"
            wait.pause(words, LOCK_PAUSE, locked)

    # --- config ---

    def config(self) -> dict[str, str]:
        """The config vars: name → value. From now on the log hides the values of those whose names
        look like secrets. Raises NotFound, Unauthorized, Unreachable."""
        found = self.api.get(f"{self.path}/config-vars")
        for key, value in found.items():
            if SECRET_CONFIG_KEY.search(key):
                self._ctx.redactor.add(str(value))
        return {str(key): str(value) for key, value in found.items()}

    def set_config(self, changes: Mapping[str, str], *, what: str) -> None:
        """Set variables in one release and wait for its end, since its release phase may fail.
        `what` is the text of the change. Raises DeployFailed, OutcomeUnknown, Unauthorized."""
        before = self.releases.newest(1)
        after = before[0].version if before else 0
        path = f"{self.path}/config-vars"
        try:
            if self.api.change("PATCH", path, changes, what=what) is None:
                return
        except ResponseLost as lost:
            if not changes.items() <= self.config().items():
                raise DeployFailed(lost.message, hint=UNCHANGED) from None
            self._ctx.console.indent(f"{what}: no response, but the change was made.")
        for release in reversed(self.releases.newest()):
            if release.version > after:
                self.releases.follow(release)

    def switch_maintenance(self, *, on: bool) -> None:
        """Turn maintenance mode on or off. Raises DeployFailed, Unauthorized, Unreachable."""

        def done() -> bool:
            return bool(self.api.get(self.path).get("maintenance")) is on

        what = f"switch maintenance mode of {self.name} {'on' if on else 'off'}"
        self.api.ensure("PATCH", self.path, {"maintenance": on}, what=what, done=done)

    # --- creating and removing ---

    @property
    def exists(self) -> bool:
        """Whether the app exists and the key may see it; asks Heroku each time."""
        try:
            return bool(self.api.get(self.path))
        except NotFound:
            return False

    def create(self, team: str, **facts: str) -> None:
        """Create the app in `team`, or without one if that is empty; `facts` are `region` and
        `stack`, empty for Heroku's default. Raises DeployFailed, Unauthorized, Unreachable."""
        path = "/teams/apps" if team else "/apps"
        wanted = {"name": self.name, **({"team": team} if team else {}), **facts}
        body = {key: value for key, value in wanted.items() if value}
        what = f"create the app {self.name}"
        self.api.ensure("POST", path, body, what=what, done=lambda: self.exists)

    def destroy(self) -> None:
        """Delete the app with its add-ons; nothing happens if it does not exist. Raises
        DeployFailed, Unauthorized, Unreachable."""
        what = f"destroy the app {self.name}"
        with contextlib.suppress(NotFound):
            self.api.ensure("DELETE", self.path, what=what, done=lambda: not self.exists)

    # --- what runs ---

    def verify(self, revision: str, release: Release, *, timeout: float) -> Live:
        """Wait until all dynos run `revision` from `release`, which has succeeded, or from a later
        release; returns what is live then. Raises DeployFailed after `timeout` seconds, when a dyno
        keeps crashing, and when other code is live; OutcomeUnknown."""
        started = time.monotonic()
        until = min(started + timeout, self._ctx.runner.until)
        crashed_since, pause = None, PAUSE
        while True:
            self._ctx.console.still(started)
            what = f"the start of {self.name}'s dynos"
            state = retry_while_away(self._ctx, self.look_again, what=what)
            live, now = state.live, time.monotonic()
            if live.revision != revision or state.release.version < release.version:
                runs = live.revision[:7] or "no known revision"
                found = f"{self.name} runs {runs} ({state.release.name})"
                message = f"{revision[:7]} is not verified: Heroku reports that {found}."
                look = f"`heroku releases -a {self.name}`"
                hint = f"Another release may have been created meanwhile; see {look}."
                raise DeployFailed(message, hint=hint)
            if live.up:
                return live
            crashed_since = (crashed_since or now) if state.crashed else None
            if now > until or (crashed_since and now - crashed_since > CRASHED):
                message = f"{state.release.name} is live, but not all dynos run: {live.detail}."
                hint = f"`heroku logs -a {self.name}` shows why."
                if not crashed_since:
                    late = until >= self._ctx.runner.until
                    limit = "DEPLOY_TIMEOUT" if late else "HEROKU_BOOT_TIMEOUT"
                    hint += f" ci-deploy waited for {now - started:.0f} s ({limit})."
                raise DeployFailed(message, hint=hint)
            self._ctx.cancellation.sleep(pause)
            pause = min(pause * 1.3, LONGEST_PAUSE)


def _undone(listed: Sequence[Release], current: Release) -> Release:
    """The newest release of the live code whose release phase has failed since: its config vars are
    set, but the running dynos do not have them."""
    since = (each for each in listed if each.version > current.version)
    ours = (each for each in since if each.slug and each.slug == current.slug)
    return next((each for each in ours if each.status in {"failed", "expired"}), Release())


def _text(found: Any, key: str) -> str:
    return str(found.get(key) or "") if isinstance(found, Mapping) else ""
