"""The app's own git repository on Heroku: login, branches, and git's errors.

Git runs in a separate bare repository, not in the one that borrows the checkout: nothing of the
checkout is needed, and Heroku would refuse a shallow one.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from ci_deploy.ci.origin import HELPER, SAFE, configured
from ci_deploy.errors import DOCS, DeployError, DeployFailed, Unauthorized, Unreachable
from ci_deploy.git.repository import ENVIRON, make, reason
from ci_deploy.layers.providers.heroku import answers
from ci_deploy.run.context import Context

TIMEOUT = 60.0  # seconds for a query, or for a push of records
HEADS = "refs/heads/"
CAUSE = re.compile(r"fatal: | ?! \[")  # of git's lines, those that say why a push failed
# The message of the commit to which the branches of records point.
RECORD = """A record of ci-deploy

The branch's name says what a run of ci-deploy has left to do, or from which directory a slug was
built. ci-deploy removes the branch itself; deleting it discards the record.
"""


class Remote:
    """The git repository of one app on Heroku. `url` has no credentials; `env` is the environ with
    which git logs in there."""

    def __init__(self, ctx: Context, host: str, key: str, app: str) -> None:
        self._ctx = ctx
        self.url = f"{host}/{app}.git"
        self.env = git_environ(host, key)

    def branches(self) -> dict[str, str]:
        """The branches: name without `refs/heads/` → SHA. Raises Unauthorized when Heroku denies
        access, DeployFailed when there is no repository, Unreachable, ToolMissing."""
        from ci_deploy.net.retry import retry

        sleep, within = self._ctx.cancellation.sleep, self._ctx.runner.until - time.monotonic()
        return retry(self._ask, on=Unreachable, sleep=sleep, within=min(TIMEOUT, within))

    def _ask(self) -> dict[str, str]:
        asked = self._ctx.runner.read(
            [*self._git(), "ls-remote", "--quiet", self.url, f"{HEADS}*"],
            env=self.env,
            timeout=TIMEOUT,
            ok=None,
        )
        if asked.exit_code:
            lines = asked.errors.splitlines()
            message = f"git cannot read {self.url}: {reason(asked)}"
            raise refusal(lines, self.url) or Unreachable(message, lines=tuple(lines[-5:]))
        pairs = (line.split("\t") for line in asked.text.splitlines())
        return {ref.removeprefix(HEADS): sha for sha, ref in pairs}

    def mark(self, new: Iterable[str], old: Iterable[str], *, what: str) -> None:
        """Push branches with the names `new`, all of one empty commit, and delete those named
        `old`, which may be gone already. `what` is the text of the change. Raises Unauthorized,
        DeployFailed, OutcomeUnknown after TIMEOUT, ToolMissing."""
        refs = [f":{HEADS}{name}" for name in old]
        if names := list(new):
            commit = self._empty_commit()
            refs += [f"+{commit}:{HEADS}{name}" for name in names]
        argv = [*self._git(), "push", "--quiet", "--no-verify", self.url, *refs]
        result = self._ctx.runner.change(
            argv, what=what, env=self.env, timeout=TIMEOUT, quiet=True, ok=None
        )
        if result.exit_code and not any(map(answers.GONE.search, result.lines)):
            last = next(iter(result.lines[-1:]), f"exit code {result.exit_code}")
            causes = (each for each in result.lines if CAUSE.match(each))  # before the last line
            raise refusal(result.lines, self.url) or DeployFailed(next(causes, last).strip())

    def _empty_commit(self) -> str:
        who = {"NAME": "ci-deploy", "EMAIL": "ci-deploy@localhost"}
        env = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER")
               for key, value in who.items()}  # fmt: skip
        read = self._ctx.runner.read
        tree = read([*self._git(), "hash-object", "-t", "tree", "-w", "--stdin"], env=ENVIRON).text
        return read([*self._git(), "commit-tree", tree, "-m", RECORD], env={**ENVIRON, **env}).text

    def _git(self) -> list[str]:
        folder = self._ctx.private_dir / "heroku.git"
        if not Path(folder, "HEAD").exists():
            make(self._ctx.runner, folder)
        return ["git", f"--git-dir={folder}"]


def git_environ(host: str, key: str) -> dict[str, str]:
    """The environ with which git logs in at `host`, the URL of Heroku's git without a path or
    credentials (HEROKU_GIT_URL, `https://git.heroku.com`). Our credential helper reads the key from
    it, so that no argv contains the key; the machine's own helpers are switched off. Heroku checks
    only the password, not the user name.
    """
    config = {"credential.helper": "", f"credential.{host}.helper": HELPER}
    return {
        **ENVIRON,
        **configured({**SAFE, **config}),
        "CI_DEPLOY_USER": "heroku",
        "CI_DEPLOY_PASSWORD": key,
    }


def refusal(lines: Sequence[str], url: str) -> DeployError | None:
    """The error when git's output lines say that the login failed, access was denied, or the
    repository at `url` does not exist; None if they say none of that."""
    lines = answers.own_words(lines)
    if denied := next(filter(answers.AUTH.search, lines), ""):
        message = f"Heroku's git denies access: {denied.strip()}"
        hint = f"Permissions that the key and its account need: {DOCS}heroku.md"
        return Unauthorized(message, hint=hint, lines=tuple(lines[-5:]))
    if any(map(answers.MISSING.search, lines)):
        hint = "Check APP_NAME: the app was renamed or destroyed, or the key may not see it."
        return DeployFailed(f"Heroku has no repository {url}.", hint=hint, lines=tuple(lines[-5:]))
    return None
