"""Runs `sentry-cli` (`SentryCli`), without any configuration of the workspace. The token is in its
environment, not in argv.

Measured with 3.8.2: a call takes about 40 ms and the time of its requests; it retries only 502 to
504, so its retries are off, and ours cover more; every failure is exit code 1 and prose. It looks
for `.sentryclirc`, which can name a proxy, in the working directory and above, so it runs in a
private directory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ci_deploy import __version__
from ci_deploy.errors import Unreachable
from ci_deploy.layers.third_parties.sentry.account import Account
from ci_deploy.layers.third_parties.sentry.errors import failure
from ci_deploy.layers.third_parties.sentry.time_budget import ONE_TRY, TimeBudget
from ci_deploy.process.program import Command
from ci_deploy.process.runner import Runner


class SentryCli:
    """Changes the releases of the account's projects. All methods announce their change, do nothing
    when planning, take their time from a `TimeBudget`, repeat what failed for a time, and raise
    DeployError (as `errors.failure` makes it) and Cancelled. `folder`: a private directory."""

    def __init__(self, account: Account, runner: Runner, folder: Path) -> None:
        self._runner = runner
        self._folder = folder
        self._projects = [word for name in account.projects for word in ("-p", name)]
        self.seconds = 0.0  # that the program has run so far
        self._environ = {
            "SENTRY_AUTH_TOKEN": account.token,
            "SENTRY_URL": account.url,
            "SENTRY_ORG": account.org,
            "SENTRY_PIPELINE": f"ci-deploy/{__version__}",
        }

    def create(self, version: str, budget: TimeBudget) -> None:
        """Create the release `version`; an existing one stays as it is."""
        words = ["releases", "new", *self._projects, version]
        self._change(words, "create the release", budget, f"create the release {version}")

    def set_commits(self, version: str, name: str, old: str, new: str, budget: TimeBudget) -> None:
        """Set the commits of a release to those after `old` up to `new`, full SHAs; if `old` is
        empty, Sentry chooses the first one. It reads them from `name`, the linked repository."""
        spec = f"{name}@{old}..{new}" if old else f"{name}@{new}"
        words = ["releases", "set-commits", *self._projects, version, "--commit", spec]
        said = f"set the commits of {version}: {spec}"
        self._change(words, "set the commits", budget, said)

    def upload(
        self, version: str, project: str, paths: Sequence[Path], prefix: str, budget: TimeBudget
    ) -> None:
        """Upload the sourcemaps at `paths`, files or directories, for one project. `prefix`: of the
        files' URLs; empty for sentry-cli's default. One attempt may take all that is left of
        `budget`."""
        words = ["sourcemaps", "upload", "-p", project, "-r", version]
        words += ["--url-prefix", prefix] if prefix else []
        words += map(str, paths)
        said = f"upload sourcemaps of {version} to {project}"
        self._change(words, "upload sourcemaps", budget, said, longest=float("inf"))

    def record(
        self,
        version: str,
        environment: str,
        span: tuple[int, int],
        budget: TimeBudget,
        *,
        name: str = "",
        url: str = "",
        recorded: Callable[[], bool],
    ) -> None:
        """Record a deploy of `version` to `environment` from `span[0]` to `span[1]` (Unix time, in
        seconds), with a `name` and the app's `url`.

        Empty texts are left out. A repetition would be a second deploy: before another attempt,
        `recorded` tells whether the failed one has arrived.
        """
        words = ["deploys", "new", *self._projects, "-r", version, "-e", environment]
        words += ["--started", str(span[0]), "--finished", str(span[1])]
        words += [*(["-n", name] if name else []), *(["-u", url] if url else [])]
        said = f"record the deploy of {version} to {environment}"
        self._change(words, "record the deploy", budget, said, arrived=recorded)

    def finalize(self, version: str, budget: TimeBudget) -> None:
        """Finalize the release `version`: Sentry sets its release date to now."""
        words = ["releases", "finalize", *self._projects, version]
        self._change(words, "finalize the release", budget, f"finalize the release {version}")

    def _change(
        self,
        words: Sequence[str],
        what: str,
        budget: TimeBudget,
        said: str,
        *,
        longest: float = ONE_TRY,
        arrived: Callable[[], bool] = lambda: False,
    ) -> None:
        """Announce the change once, and run sentry-cli up to the number of attempts of `budget`.
        `arrived` tells, before another attempt, whether it is still needed. Raises DeployError."""
        if not self._runner.change_log.announce(f"Sentry: {said}"):
            return
        command = Command(["sentry-cli", *words], self._environ, cwd=self._folder)
        tries = 0

        def attempt(seconds: float) -> None:
            nonlocal tries
            tries += 1
            if tries > 1 and arrived():
                return
            try:
                result = self._runner.read_all([command], timeout=seconds, ok=None)[0]
            except Unreachable:
                message = f"cannot {what}: sentry-cli did not finish within {seconds:.0f} s."
                raise Unreachable(message) from None
            self.seconds += result.seconds
            if result.exit_code:
                raise failure(result, what)

        budget.call(what, attempt, longest=longest)
