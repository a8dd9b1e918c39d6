"""Deploys and rolls back releases on a swarm, and records that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from ci_deploy.errors import (
    DeployError,
    DeployFailed,
    OutcomeUnknown,
    Refused,
    RolledBack,
    Unreachable,
)
from ci_deploy.layers.providers.docker.login import Login
from ci_deploy.layers.providers.docker.release import Release, deployment_facts
from ci_deploy.layers.providers.swarm import records
from ci_deploy.layers.providers.swarm.client import asking
from ci_deploy.layers.providers.swarm.convert import marked
from ci_deploy.layers.providers.swarm.jobs import Jobs
from ci_deploy.layers.providers.swarm.judge import Judged, State
from ci_deploy.layers.providers.swarm.manager import Manager
from ci_deploy.layers.providers.swarm.reading import Wanted, as_bytes
from ci_deploy.layers.providers.swarm.rollout import Rollout, failure, last_words
from ci_deploy.layers.providers.swarm.settings import SwarmSettings
from ci_deploy.layers.providers.swarm.state import MARK, RELEASE, Kept, Stack
from ci_deploy.layers.providers.swarm.store import Store
from ci_deploy.run.context import Context
from ci_deploy.state import Live


class Switch:
    """Makes the changes of one run to a swarm; `jobs` runs its one-off commands, `store` keeps its
    records. `finish` completes an interrupted restore, and returns the stack after it."""

    def __init__(
        self,
        ctx: Context,
        manager: Manager,
        login: Login,
        settings: SwarmSettings,
        finish: Callable[[Stack], Stack],
    ) -> None:
        self.ctx, self.manager, self.login, self.settings = ctx, manager, login, settings
        self.finish = finish
        self.file: Mapping[str, Any] | None = None  # the stack file that this run has deployed
        self._run: records.Run | None = None  # until its result is known
        self._before: tuple[str, bytes] | None = None  # for a cancel: release and its stack file
        self._handed_over = False  # whether the engine has got the release
        self.store = Store(manager)
        self.jobs = Jobs(ctx, manager, login, settings)

    # --- a release ---

    def deploy(
        self, stack: Stack, release: Release, data: Mapping[str, Any], wanted: Wanted
    ) -> None:
        """Deploy `release`, whose stack file is `data`, wait until every service is verified,
        record that, and remove what is not needed any more. Raises Locked, RolledBack, DeployFailed
        or OutcomeUnknown; also Refused and SettingsError (a restore to finish), Unauthorized."""
        run = records.begin(stack.name, "deploy", release.facts, release.id)
        with self.manager.alone(f"deploy of {release.id}"):
            stack = self.finish(self.manager.look())
            gone = [each.name for each in stack.ours if each.name not in data["services"]]
            self._explain(stack, gone)
            if self.settings.on_cancel == "rollback" and not self.ctx.planning:
                self._remember(stack, release.id)
            if (review := self.ctx.review) and not any(e.label("kind") == MARK for e in stack.kept):
                self.store.mark(review)
            with self._recorded(run, data):
                self.store.create(stack, wanted.contents)
                self._before_traffic(stack, release, data, wanted)
                what = _in_words(stack, release.id, data)
                self._bring(stack, run, release.id, data, what)
            self.store.tidy(stack, data, release.id, gone)

    def go_back(self, stack: Stack, target: Kept) -> None:
        """Deploy a release that was live before, from its record `target`, in the same way. Raises
        what `deploy` raises."""
        release, revision = target.label("release"), target.label("revision")
        facts = {**deployment_facts(self.ctx), "revision": revision, "tag": target.label("tag")}
        run = records.begin(stack.name, "rollback", facts, release)
        with self.manager.alone(f"rollback to {release}"):
            stack = self.finish(self.manager.look())
            data = self.store.data(target)
            gone = [each.name for each in stack.ours if each.name not in data["services"]]
            with self._recorded(run, data):
                self._bring(
                    stack, run, release, data, f"roll back the stack {stack.name} to {release}"
                )
            self.store.tidy(stack, data, release, gone)

    def _remember(self, stack: Stack, release: str) -> None:
        """Fetch, in advance, the release to go back to after a cancel, which leaves no time for
        it."""
        before = next((e for e in records.verified(stack) if e.label("release") != release), None)
        if before is None:
            message = "ON_CANCEL=rollback has no effect: there is no release to roll back to yet."
            self.ctx.console.warning(message)
        else:
            self._before = (before.label("release"), as_bytes(self.store.data(before)))

    @contextmanager
    def _recorded(self, run: records.Run, data: Mapping[str, Any]) -> Iterator[None]:
        """Record that a run begins, and its result if it fails."""
        self.store.record(run, records.STARTED, data, "")
        self._run = run
        try:
            yield
        except DeployError as error:
            self._run = None
            outcome = {RolledBack: "rolled-back", OutcomeUnknown: "unknown"}.get(
                type(error), "failed"
            )
            try:
                self.store.record(run, outcome, {}, "")
            except (OutcomeUnknown, Unreachable) as lost:
                self.ctx.console.warning(
                    f"the result of this run could not be recorded in the swarm: {lost.message}"
                )
            raise
        self._run = None

    def _bring(
        self, stack: Stack, run: records.Run, release: str, data: Mapping[str, Any], what: str
    ) -> None:
        with asking(self.ctx, self.manager) if records.verified(stack) else nullcontext():
            now = self._prove(stack, release, data, what)
        if now is None:
            return
        self.file = _pinned(now, data)
        what, client = f"record that {release} is live", self.ctx.report.client
        self.store.record(run, records.LIVE, self.file, what, client=client)
        revision = dict(run.facts).get("revision", "")
        self.ctx.verified(Live(revision, True, release), release)

    def _prove(
        self, stack: Stack, release: str, data: Mapping[str, Any], what: str
    ) -> Stack | None:
        """Deploy and judge; the stack after it, None when only planning. Raises like `deploy`."""
        done = self._apply(stack, release, data, what)
        if done is None:
            return None
        found, rollout = done
        if error := failure(found, release):
            said = last_words(self.manager, rollout, found)
            self.ctx.console.indent("\n".join([*error.lines, *said]))
            lines = (*error.lines, *said)
            if isinstance(error, RolledBack):
                self._all_back(stack, release, found, error)
            raise type(error)(error.message, hint=error.hint, lines=lines)
        return rollout.stack

    def _apply(
        self,
        stack: Stack,
        release: str,
        data: Mapping[str, Any],
        what: str,
        names: Sequence[str] = (),
    ) -> tuple[list[Judged], Rollout] | None:
        """Give the stack file to the engine and follow it; None when only planning."""
        self._handed_over = True
        if not self.manager.apply(as_bytes(data), self.login, what):
            return None
        rollout = Rollout(
            self.ctx, self.manager, release, names or list(data["services"]),
            {task.id for task in stack.tasks}, self.settings.health_timeout,
        )  # fmt: skip
        return rollout.follow(), rollout

    def _all_back(
        self, stack: Stack, failed: str, found: Sequence[Judged], error: RolledBack
    ) -> None:
        """Roll back the other services too: the engine does so service by service. Raises
        DeployFailed when that cannot be verified."""
        others = [each.name for each in found if each.state is not State.ROLLED_BACK]
        before = next((e for e in records.verified(stack) if e.label("release") != failed), None)
        if not others:
            return
        if before is None:
            message = (
                f"{error.message}\nNo previous release is kept, so the other services stay as "
                "they are."
            )
            hint = "Deploy a release that works."
            raise DeployFailed(message, hint=hint, lines=error.lines)
        release = before.label("release")
        what = f"roll back {', '.join(others)} to {release} too"
        done = self._apply(stack, release, self.store.data(before), what)
        if done and (second := failure(done[0], release)):
            message = f"{error.message}\nRolling back the others failed: {second.message}"
            raise DeployFailed(message, hint=second.hint, lines=error.lines)

    def interrupted(self) -> None:
        """After a cancel: if ON_CANCEL=rollback and the engine has got the release already, start a
        rollback that continues without us; else the engine finishes what it has. Logs how to
        follow a one-off command that still runs."""
        if self.jobs.running:
            self.ctx.console.indent(
                "the command continues in the swarm; to follow it, run on a manager: "
                f"docker service logs -f {self.jobs.running}"
            )
        run, before = self._run, self._before
        if run is None or before is None or not self._handed_over:
            return
        name, labels = run.record("cancelled")
        what = f"roll back to {before[0]}, since the job was cancelled"
        words = [self.login.host, self.login.user, name, *labels]
        stdin = f"{self.login.password}\n".encode() + before[1]
        self.manager.change(["back"], words, what, stdin)

    def _explain(self, stack: Stack, gone: Sequence[str]) -> None:
        ctx = self.ctx
        for step in ctx.before_traffic if ctx.planning else ():
            ctx.console.indent(f"before the switch, once: {step.what}")
        for name in gone if ctx.planning else ():
            ctx.console.indent(f"{name} is not in the compose file any more.")
        seen = next((each.label("client") for each in records.verified(stack)), "")
        if ctx.planning and seen:
            ctx.console.indent(f"At the last deploy: {seen}.")
        if self.login.user and ctx.environ.get("CI_JOB_TOKEN", "-") == self.login.password:
            ctx.console.warning(
                "the nodes get this job's registry token, which ends with the job: a task that "
                "moves to another node later cannot fetch its image. Use a deploy token "
                f"(DOCKER_USER, DOCKER_PASS, DOCKER_REGISTRY={self.login.host})."
            )

    def _before_traffic(
        self, stack: Stack, release: Release, data: Mapping[str, Any], wanted: Wanted
    ) -> None:
        """Run the commands before the traffic in the new release's image."""
        steps = self.ctx.before_traffic
        needs = [n for n in wanted.model.needs(self.settings.run_service) if n in data["services"]]
        if steps and (lacking := [name for name in needs if name not in stack.services]):
            some = {**data, "services": {name: data["services"][name] for name in lacking}}
            what = f"start {', '.join(lacking)}, which the pre-release commands need"
            done = self._apply(stack, release.id, some, what)
            if done and (error := failure(done[0], release.id)):
                raise error
        for step in steps:
            ran = self.jobs.run(data, step.command, step.what, {})
            if not ran.planned:
                step.check(ran)

    def file_of(self, stack: Stack, live: Live) -> Mapping[str, Any]:
        """The stack file of the release `live`, or of what this run has deployed. Raises Refused
        when no verified record has it, DeployFailed when the record cannot be read."""
        if self.file is not None:
            return self.file
        for each in records.verified(stack):
            if each.label("release") == live.release:
                return self.store.data(each)
        message = f"the swarm has no release of {self.ctx.app} in which a command could run."
        if live.release:
            message = f"{self.ctx.app} runs {live.release}, which was never verified: no command "
            message += "can run in it."
        raise Refused(message, hint="Deploy a release first.")

    def settle(self, stack: Stack, live: Live) -> None:
        """If the last run has no recorded result, since its job was killed, but its release is what
        `live` shows, and up: record that it succeeded. Not in `plan`."""
        last = next(iter(records.records(stack)), None)
        if last is None or self.ctx.planning or not live.up:
            return
        if last.label("outcome") == records.STARTED and last.label("release") == live.release:
            keys = ("stack", "kind", "action", "release", "revision", "tag", "pipeline", "actor")
            facts = {key: last.label(key) for key in keys}
            what = f"record that {live.release} is live: the run that deployed it was interrupted"
            self.store.record(
                records.Run(last.name, facts),
                records.LIVE,
                _pinned(stack, self.store.data(last)),
                what,
            )


def _in_words(stack: Stack, release: str, data: Mapping[str, Any]) -> str:
    new = [name for name in data["services"] if name not in stack.services]
    known = [name for name in data["services"] if name in stack.services]
    parts = [f"create {', '.join(new)}"] if new else []
    parts += [f"update {', '.join(known)}"] if known else []
    return f"deploy {release} to the stack {stack.name}: {'; '.join(parts)}; verify"


def _pinned(stack: Stack, data: Mapping[str, Any]) -> dict[str, Any]:
    """The stack file with the digests that the engine has found."""
    labels = {n: each.labels for n, each in stack.services.items()}
    found = next((labels[n] for n in data["services"] if n in labels), {})
    images = {n: stack.services[n].image for n in data["services"] if n in stack.services}
    return marked(data, found.get(RELEASE, ""), found.get("com.ci-deploy.revision", ""), images)
