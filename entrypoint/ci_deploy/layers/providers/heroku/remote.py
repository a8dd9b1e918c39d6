"""The app's own repository on Heroku: login, branches, and git's errors.

Git runs in a separate bare repository, not in the one that borrows the checkout: nothing of the
checkout is needed, and Heroku would refuse a shallow one.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from ci_deploy.ci.origin import HELPER, SAFE, configured
from ci_deploy.errors import DOCS, DeployError, DeployFailed, Unauthorized, Unreachable
from ci_deploy.git.repository import ENVIRON, make, reason
from ci_deploy.layers.providers.heroku import answers
from ci_deploy.run.context import Context

TIMEOUT = 60.0  # seconds for a query
HEADS = "refs/heads/"


class Remote:
    """The repository of one app."""

    def __init__(self, ctx: Context, host: str, key: str, app: str) -> None:
        self._ctx = ctx
        self.url = f"{host}/{app}.git"
        self.env = git_environ(host, key)

    def branches(self) -> dict[str, str]:
        """The branches: name → SHA. Raises Unauthorized, Unreachable, DeployFailed."""
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
            message = f"git cannot reach Heroku: {reason(asked)}"
            raise refusal(lines, self.url) or Unreachable(message, lines=tuple(lines[-5:]))
        pairs = (line.split("\t") for line in asked.text.splitlines())
        return {ref.removeprefix(HEADS): sha for sha, ref in pairs}

    def mark(self, new: Iterable[str], old: Iterable[str], *, what: str) -> None:
        """Create the branches `new`, of an empty commit, and delete `old`. Raises DeployError."""
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
            raise refusal(result.lines, self.url) or DeployFailed(last)

    def _empty_commit(self) -> str:
        who = {"NAME": "ci-deploy", "EMAIL": "ci-deploy@localhost"}
        env = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER")
               for key, value in who.items()}  # fmt: skip
        read = self._ctx.runner.read
        tree = read([*self._git(), "hash-object", "-t", "tree", "-w", "--stdin"], env=ENVIRON).text
        words = ["commit-tree", tree, "-m", "Noted by ci-deploy; the branch can be deleted."]
        return read([*self._git(), *words], env={**ENVIRON, **env}).text

    def _git(self) -> list[str]:
        folder = self._ctx.private_dir / "heroku.git"
        if not Path(folder, "HEAD").exists():
            make(self._ctx.runner, folder)
        return ["git", f"--git-dir={folder}"]


def git_environ(host: str, key: str) -> dict[str, str]:
    """The environ with which git logs in at `host`: git's credential helper gets the key from it,
    so no argv contains the key. Heroku checks only the password, not the user name. Helpers of the
    machine are switched off.
    """
    config = {"credential.helper": "", f"credential.{host}.helper": HELPER}
    return {
        **ENVIRON,
        **configured({**SAFE, **config}),
        "CI_DEPLOY_USER": "heroku",
        "CI_DEPLOY_PASSWORD": key,
    }


def refusal(lines: Sequence[str], url: str) -> DeployError | None:
    """The error when git's lines say that access was denied; None if they do not."""
    lines = answers.own_words(lines)
    if any(map(answers.AUTH.search, lines)):
        message = "git.heroku.com rejects the API key."
        hint = f"Permissions that the key and its account need: {DOCS}heroku.md"
        return Unauthorized(message, hint=hint, lines=tuple(lines[-5:]))
    if any(map(answers.MISSING.search, lines)):
        hint = "Check APP_NAME: the app may have been renamed or destroyed."
        return DeployFailed(f"Heroku has no repository {url}.", hint=hint, lines=tuple(lines[-5:]))
    return None
