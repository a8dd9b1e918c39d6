"""Deploys by `git push REVISION:refs/heads/main` (or `master`), as DEPLOY_METHOD=auto mostly does.

Measured: Heroku builds `main` and `master` and no other branch; it refuses shallow clones; the push
succeeds even if the release phase fails; "Everything up-to-date" makes no release; a build
continues when its client leaves, and makes its release.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import NoReturn

from ci_deploy.errors import DeployFailed, OutcomeUnknown, Refused, Unreachable
from ci_deploy.layers.providers.heroku import answers
from ci_deploy.layers.providers.heroku.app import App, State
from ci_deploy.layers.providers.heroku.archive import Archive
from ci_deploy.layers.providers.heroku.deploy_method import DeployMethod, SlugAgain, slug_of
from ci_deploy.layers.providers.heroku.releases import Release
from ci_deploy.layers.providers.heroku.remote import Remote, refusal
from ci_deploy.output.excerpt import Excerpt
from ci_deploy.process.program import Result
from ci_deploy.run.context import Context
from ci_deploy.run.order import Order, guard, order

FOLLOW_TIMEOUT = 900.0  # seconds to follow a build to which the connection was lost
SILENT = 15.0  # seconds without output of git after which Heroku is asked instead
UPLOAD = 1800.0  # seconds that git may take, without output, to upload the code
SETTLED = 6.0  # seconds without build and release after which none is expected any more


class Push(DeployMethod):
    """Deploys by `git push`. A branch on Heroku that does not lead to our revision is overwritten
    only with `--force-with-lease`."""

    def __init__(
        self,
        ctx: Context,
        app: App,
        state: State,
        *,
        remote: Remote,
        branches: Mapping[str, str] | None,
        force: bool,
    ) -> None:
        """`branches` of the app's repository (name → SHA), None if they are unknown; `force`: a
        diverged history may be replaced."""
        super().__init__(ctx, app, state)
        self._remote = remote
        self._branches = branches
        self._force = force
        self._branch = "main"
        self._lease: str | None = None
        self._instead: DeployMethod | None = None
        self._lines = Excerpt(answers.PUSH)
        self._heard = 0.0  # time of git's last output, or of the last query
        self._seen_building = False

    def prepare(self) -> None:
        branches = {} if not self._state.exists else self._branches
        branches = self._remote.branches() if branches is None else branches
        self._branch = "master" if "master" in branches and "main" not in branches else "main"
        there, new, live = branches.get(self._branch, ""), self.revision, self._state.live.revision
        repository = self._ctx.repository
        repository.deepen()
        if there and not all(repository.has(sha) for sha in {there, live} - {""}):
            repository.fetch(self._remote.url, f"refs/heads/{self._branch}", self._remote.env)
        found = order(repository, new, live)
        guard(self._ctx, live, found, force=self._force, overwrites=True)
        if there == new:
            self._instead = self._again("Heroku has its code, but does not run it")
        elif (pushed := order(repository, new, there)) is not Order.AFTER:
            self._lease = there
            if there != live and pushed is not Order.BEFORE and not self._force:
                self._refuse(there)

    @property
    def building(self) -> bool:
        return self._building or bool(self._instead and self._instead.building)

    def _refuse(self, there: str) -> NoReturn:
        """Refuse to replace a pushed revision that never went live."""
        message = (
            f"{self.revision[:7]} does not contain {there[:7]}, which was pushed to "
            f"{self._app.name} last."
        )
        hint = "Deploy a revision that contains it, or set FORCE_PUSH=true to replace it."
        raise Refused(message, hint=hint)

    def run(self) -> Release | None:
        if self._instead:
            return self._instead.run()
        newest = self._app.releases.newest(1)
        after = newest[0].version if newest else 0
        self._building = True
        self._heard = started = time.monotonic()
        try:
            result = self._push(lambda: self._patience(after, started))
        except OutcomeUnknown as stopped:
            if time.monotonic() >= self._ctx.runner.until:
                raise self._late(stopped.lines) from None
            return self.finish(self._follow(stopped.lines, after), "")  # git hung
        if result.planned:
            return None
        if result.exit_code:
            made = self._made_despite_lost_response(result, after)
        elif self._said(answers.UP_TO_DATE):
            return self._again("the push changed nothing").run()
        elif any(map(answers.SKIPPED.match, self._lines)):
            message = f"Heroku does not build the branch {self._branch}."
            hint = "Heroku's output above names the branches that it builds."
            raise DeployFailed(message, hint=hint, lines=result.lines)
        else:
            made = self._app.releases.made(self.revision, after=after)
        self._building = False
        why = f"Heroku accepted the push of {self.revision[:7]}, but no release appeared."
        return self.finish(made, why)

    def _patience(self, after: int, started: float) -> float:
        """The deadline for git. After a lost connection it can hang for ever (seen with 2.39), so
        when it prints nothing Heroku is asked: git may go on as long as something is built."""
        now = time.monotonic()
        if now - self._heard < SILENT:
            return float("inf")
        self._heard = now
        try:
            state = self._app.look_again()
            made = self._app.releases.since(after, self.revision) is not None
        except Unreachable:
            return float("inf")
        over = made or (self._seen_building and not state.live.busy)
        self._seen_building = self._seen_building or bool(state.building)
        late = not state.live.busy and now - started > UPLOAD
        return now if over or late else float("inf")

    def _watch(self, line: str) -> None:
        self._lines.take(line)
        self._heard = time.monotonic()

    def _push(self, patience: Callable[[], float]) -> Result:
        sha, lease = self.revision, self._lease
        how = "" if lease is None else f", replacing {lease[:7]}"
        return self._ctx.repository.push(
            self._remote.url,
            sha,
            self._branch,
            env=self._remote.env,
            what=f"push {sha[:7]} to {self._branch} of {self._app.name}{how}",
            lease=lease,
            watch=self._watch,
            timeout=patience,
        )

    def _again(self, why: str) -> DeployMethod:
        """The method when Heroku's repository has the revision already: release its slug again, or
        build it again."""
        if found := slug_of(self._app, self.revision):
            if found.status == "failed":
                why = f"the release phase of {found.name} has failed"
            return SlugAgain(self._ctx, self._app, self._state, found.slug, why)
        archive = Archive(self._ctx, self._app, self._state, force=True)
        archive.prepare()
        return archive

    def _made_despite_lost_response(self, result: Result, after: int) -> Release | None:
        """The release after a push of which only the connection failed. Else raises
        DeployFailed."""
        if (self._said(answers.LOST) or result.killed) and not self._said(answers.DECLINED):
            return self._follow(result.lines, after, result.killed)
        self._building = False
        return self._fail(result)

    def _follow(self, lines: tuple[str, ...], after: int, killed: str = "") -> Release:
        """Follow the build after a lost connection or a killed git. Raises OutcomeUnknown."""
        why = killed.rstrip(".") or "the push broke off"
        self._ctx.console.indent(f"{why}; asking Heroku for the result")
        started = quiet_since = time.monotonic()
        while time.monotonic() < min(started + FOLLOW_TIMEOUT, self._ctx.runner.until):
            self._ctx.console.still(started)
            try:
                ours = self._app.releases.since(after, self.revision)
                busy = self._app.look_again().live.busy
            except Unreachable:
                quiet_since = time.monotonic()
                continue  # (this took a while, with retries)
            if ours:
                return ours
            if busy:
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since > SETTLED:
                break
            self._ctx.cancellation.sleep(1.0)
        if time.monotonic() >= self._ctx.runner.until:
            raise self._late(lines)
        message = f"{why}, and {self._app.name} has no release of this push so far."
        hint = "Run the job again: it first looks at what Heroku has."
        raise OutcomeUnknown(message, hint=hint, lines=lines)

    def _late(self, lines: tuple[str, ...]) -> OutcomeUnknown:
        message = "timed out (DEPLOY_TIMEOUT) during the push and its build."
        hint = "A build that has started continues; the next run finds its result."
        return OutcomeUnknown(message, hint=hint, lines=lines)

    def _said(self, pattern: re.Pattern[str]) -> bool:
        """Whether a line of git itself, not of the build, matches."""
        return any(pattern.search(line) for line in answers.own_words(self._lines))

    def _fail(self, result: Result) -> NoReturn:
        """Raise the error with the reason, for the user."""
        if self._said(answers.MOVED):
            message = f"another push to {self._app.name} came first, so Heroku rejects this one."
            hint = "Let only one job at a time deploy an app, then deploy again."
            raise DeployFailed(message, hint=hint, lines=result.lines)
        said, look = answers.reason(self._lines), f"`heroku releases -a {self._app.name}`"
        hint = f"The output is above; {look} shows whether anything was released."
        if self._said(answers.DECLINED):
            hint = "The output is above; nothing was released."
            message = f"Heroku rejects the push: {said or 'it gave no reason.'}"
        elif error := refusal(self._lines, self._remote.url):
            raise error
        else:
            own = answers.own_words(self._lines)
            fatal = next((line for line in own if line.startswith("fatal: ")), "")
            why = fatal.rstrip(".") or f"exit code {result.exit_code}"
            message = said or f"git push failed: {why}."
        raise DeployFailed(message, hint=hint, lines=result.lines)
