"""git: the commits of the checkout and their history, read through a private repository.

The workspace is only read: git runs in a private bare repository that borrows its objects
(`objects/info/alternates`), and asks the checkout only for its HEAD, names and config. So its
hooks, fsmonitor, sshCommand, URL rewrites and credential helpers have no effect, nor has its owner.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ci_deploy.ci import origin
from ci_deploy.ci.base import CI
from ci_deploy.ci.checkouts import Checkout
from ci_deploy.ci.origin import SAFE, configured
from ci_deploy.errors import Problem, SettingsError, Unreachable
from ci_deploy.git import blobs, revision
from ci_deploy.process import limits
from ci_deploy.process.program import Command, CommandFailed, Result
from ci_deploy.process.programs import ALWAYS
from ci_deploy.process.runner import Runner

NO_OBJECT = (0, 1, 128)  # exit codes when an object may be missing
NO_BRANCH = 2  # exit code of `ls-remote --exit-code`
PARTIAL = "is partial, and what it lacks"
FETCH_TIMEOUT = 600.0  # seconds; a large history takes long
ENVIRON = ALWAYS["git"]


def make(runner: Runner, folder: Path, *options: str) -> None:
    """Create an empty bare repository in `folder`; `options` are those of `git init`. Raises
    ToolMissing for a full disk, else CommandFailed."""
    try:
        runner.read(["git", "init", "--quiet", "--bare", *options, str(folder)], env=ENVIRON)
    except CommandFailed as error:
        raise limits.full(folder.parent) or error from None


def reason(failed: Result) -> str:
    """Why git failed: the first `fatal:` line of its stderr (or the line before it, which may say
    more), else the last line; the exit code if there is no line."""
    lines = list(filter(None, failed.errors.splitlines())) or [f"exit code {failed.exit_code}"]
    at = next((n for n, line in enumerate(lines) if line.startswith("fatal: ")), len(lines) - 1)
    return lines[at - 1] if at and "Could not read from remote" in lines[at] else lines[at]


class Repository:
    """The checkout, read through a private repository in `private_dir`, which `open` makes."""

    def __init__(
        self, runner: Runner, ci: CI, private_dir: Path, checkout: Checkout | None = None
    ) -> None:
        self.runner = runner
        self._ci = ci
        self.checkout = checkout or Checkout(ci.context.workspace)
        self._dir = private_dir / "git"
        self._origin = ci.context.fetch_url
        self._tried = self._partial = False
        self._yes: set[tuple[str, ...]] = set()  # questions that git has answered with yes
        self._texts: dict[str, str] = {}  # the files that were read, by commit:path
        self.head = ""  # the full SHA that is checked out; empty before `open`, or without commits
        self.fetch_error = ""  # why the last fetch from the origin failed, as a clause
        self._git_dir = self._common = self._dir  # the checkout's, once `open` has found it

    def open(self, *, optional: bool = False) -> None:
        """Make the private repository. Without a checkout it stays empty if `optional`, else
        SettingsError is raised. Raises ToolMissing for a full disk."""
        found = self.runner.read(  # of the checkout's objects only, whoever owns it
            ["git", "-C", str(self.checkout.path), "rev-parse", "--git-common-dir",
             "--absolute-git-dir", "--show-object-format", "--verify", "--quiet", "HEAD^{commit}"],
            env={**ENVIRON, **configured({"safe.directory": "*"})},
            ok=NO_OBJECT,
        )  # fmt: skip
        lines = found.text.splitlines()
        if len(lines) < 3 and optional:
            make(self.runner, self._dir)
            return
        if len(lines) < 3:
            raise self.checkout.none_there(found.errors)
        self._common = common = (self.checkout.path / lines[0]).resolve()
        self._git_dir = Path(lines[1])  # a worktree has a HEAD of its own
        self.head = lines[3] if len(lines) > 3 else ""
        make(self.runner, self._dir, f"--object-format={lines[2]}")
        (self._dir / "objects/info/alternates").write_text(f"{common / 'objects'}\n")
        (self._dir / "info").mkdir(exist_ok=True)  # this file overrides those of a revision
        (self._dir / "info/attributes").write_text("* -export-ignore -export-subst\n")
        self._partial = any((common / "objects/pack").glob("*.promisor"))  # clone --filter
        if (common / "shallow").is_file():
            (self._dir / "shallow").write_bytes((common / "shallow").read_bytes())

    def borrow(self, checkout: Path) -> bool:
        """Also borrow the objects of the submodule at `checkout`; False if none is checked out."""
        safe = {"safe.directory": str(checkout.resolve())}
        found = self.runner.read(
            ["git", "-C", str(checkout), "rev-parse", "--git-common-dir", "--show-toplevel"],
            env={**ENVIRON, **configured(safe)},
            ok=None,
        )
        lines = found.text.splitlines()
        if len(lines) < 2 or Path(lines[1]).resolve() != checkout.resolve():
            return False
        with (self._dir / "objects/info/alternates").open("a") as alternates:
            alternates.write(f"{(checkout / lines[0]).resolve() / 'objects'}\n")
        return True

    @property
    def shallow(self) -> bool:
        """Whether the clone is shallow: its history is incomplete."""
        return (self._dir / "shallow").is_file()

    def resolve(self, wanted: str) -> str:
        """The full SHA of `wanted`; if that is empty, of the job's commit (`revision.resolve`)."""
        return revision.resolve(self, self._ci, wanted)

    def obtain(self, name: str) -> str:
        """The commit of a full object ID (or a tag's), fetched if it is missing; "" for none."""
        return self.commit(name) or (self._fetch([name], "--depth=1") and self.commit(name)) or ""

    def commit(self, name: str) -> str:
        """The full SHA of the commit of an object ID (a commit's or tag's); empty if missing."""
        found = self.git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", ok=NO_OBJECT)
        return found.text if found.exit_code == 0 else ""

    def named(self, name: str) -> str:
        """The commit that a name like `HEAD~1` or a ref means in the checkout; empty for none."""
        end = "--end-of-options"
        return self._ask("rev-parse", "--verify", "--quiet", end, f"{name}^{{commit}}")

    def _ask(self, *arguments: str) -> str:
        """Run git in the checkout and return what it prints; empty when it fails."""
        argv = ["git", f"--git-dir={self._git_dir}", *arguments]
        found = self.runner.read(argv, env=ENVIRON, ok=NO_OBJECT)
        return found.text if found.exit_code == 0 else ""

    def other_origin(self) -> str:
        """The checkout's repository (`acme/web`) if it is known not to be the job's; else empty."""
        url = self._ask("config", "--local", "--get", "remote.origin.url")
        theirs, ours = origin.repository(url), origin.repository(self._origin)
        return theirs if theirs and ours and theirs.lower() != ours.lower() else ""

    def is_gone(self, branch: str) -> bool:
        """Whether the origin says that it lacks the branch; False also if it is unreachable."""
        url, environ = self._source()
        if not (url and branch):
            return False
        words = ("ls-remote", "--exit-code", "--heads", "--", url, f"refs/heads/{branch}")
        try:
            return self.git(*words, env=environ, ok=None).exit_code == NO_BRANCH
        except Unreachable:
            return False

    def has(self, sha: str) -> bool:
        """Whether the commit `sha` is in the repository."""
        return self._says_yes("cat-file", "-e", f"{sha}^{{commit}}")

    def subject(self, sha: str) -> str:
        """The first line of the message of the commit `sha`; empty if it is missing."""
        return self.git("log", "-1", "--format=%s", "--no-show-signature", sha, ok=None).text

    def is_ancestor(self, old: str, new: str) -> bool:
        """Whether `new` is the commit `old` or contains it; the repository must have both."""
        return self._says_yes("merge-base", "--is-ancestor", old, new, ok=(0, 1))

    def _says_yes(self, *question: str, ok: Sequence[int] | None = NO_OBJECT) -> bool:
        """Whether git exits with 0. A yes about commits never changes, so it is remembered."""
        if question not in self._yes and self.git(*question, ok=ok).exit_code == 0:
            self._yes.add(question)
        return question in self._yes

    def files(self, sha: str, *paths: str) -> list[str]:
        """The texts of the files `paths` at the commit `sha`; empty for what is not a file."""
        names = [f"{sha}:{path}" for path in paths]
        if new := [name for name in names if name not in self._texts]:
            listed = self.git("cat-file", "--batch", stdin=blobs.question(new), ok=NO_OBJECT).out
            self._texts.update(zip(new, blobs.texts(listed, new), strict=True))
        return [self._texts[name] for name in names]

    def uses_lfs(self, sha: str) -> bool:
        """Whether any .gitattributes of the commit `sha` assigns files to LFS (`filter=lfs`)."""
        where = ":(glob)**/.gitattributes"
        return self._says_yes("grep", "--quiet", "-I", "filter=lfs", sha, "--", where, ok=None)

    def is_folder(self, sha: str, path: str) -> bool:
        """Whether `path` is a directory in the commit `sha`."""
        found = self.git("cat-file", "-t", f"{sha}:{path}", ok=NO_OBJECT)
        return found.exit_code == 0 and found.text == "tree"

    def can_deepen(self) -> bool:
        """Fetch, once, what a shallow or partial clone lacks; returns whether it lacks nothing.
        Raises Unreachable when a fetch takes longer than FETCH_TIMEOUT."""
        if self._partial and not self._tried:
            self._partial = not self._fetch(["+refs/heads/*:refs/origin/*"], "--refetch")
        if self.shallow and not self._tried:
            self._fetch(["+HEAD:refs/origin/HEAD"], "--unshallow")
        self._tried = True
        return not self.shallow and not self._partial

    def deepen(self) -> None:
        """Like `can_deepen`, but raises SettingsError, with what to change, if that fails."""
        if not self.can_deepen():
            raise self._lacking("is shallow, and its history" if self.shallow else PARTIAL)

    def complete(self, sha: str) -> None:
        """Fetch the files of a commit that a partial clone lacks, or raise SettingsError."""
        words = ("rev-list", "--objects", "--missing=print", "--quiet", "--max-count=1", sha)
        if self._partial and re.search(r"(?m)^\?", self.git(*words, ok=NO_OBJECT).text):
            self.can_deepen()
            if self._partial:
                raise self._lacking(PARTIAL)

    def _lacking(self, what: str) -> SettingsError:
        reason = f"the checkout {what} cannot be fetched in this job: {self.fetch_error}."
        whole = " Clone without a filter, too (no `--filter`)." if what == PARTIAL else ""
        return SettingsError(Problem("the workspace", reason, "", self._ci.shallow_hint + whole))

    def fetch(self, url: str, ref: str, env: Mapping[str, str]) -> str:
        """Fetch `ref` from the app's repository at `url`, with the environ `env`; returns its SHA,
        empty if there is no such ref. Raises Unreachable, ToolMissing."""
        done = self.git(
            "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", url, f"+{ref}:refs/app/live",
            env=env, ok=None, timeout=FETCH_TIMEOUT,
        )  # fmt: skip
        if done.exit_code:
            if "couldn't find remote ref" in done.errors:
                return ""
            message = f"git cannot fetch {ref} from the app's repository: {reason(done)}"
            raise limits.full(self._dir) or Unreachable(message)
        return self.git("rev-parse", "--verify", "--quiet", "refs/app/live").text

    def push(
        self,
        url: str,
        sha: str,
        branch: str,
        *,
        env: Mapping[str, str],
        what: str,
        lease: str | None = None,
        **options: object,
    ) -> Result:
        """Push the commit `sha` to a branch at `url`; any exit code is returned (for `options` see
        `Runner.change`). `lease`: the SHA of the branch if it may be overwritten, else None."""
        ref = f"refs/heads/{branch}"
        force = [] if lease is None else [f"--force-with-lease={ref}:{lease}"]
        argv = self._argv("push", "--no-verify", *force, url, f"{sha}:{ref}")
        env = {**ENVIRON, **configured(SAFE), **env}
        return self.runner.change(argv, what=what, env=env, ok=None, **options)  # type: ignore[arg-type]

    def git(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        ok: Sequence[int] | None = (0,),
        stdin: bytes = b"",
        timeout: float = 60.0,
    ) -> Result:
        """Run git for what changes nothing outside the private repository (see `Runner.read`)."""
        env = {**ENVIRON, **configured(SAFE), **(env or {})}
        argv = self._argv(*arguments)
        return self.runner.read(argv, env=env, ok=ok, stdin=stdin, timeout=timeout)

    def command(self, *arguments: str) -> Command:
        """The command that `git` would run with these arguments, for `Runner.read_all`."""
        return Command(self._argv(*arguments), {**ENVIRON, **configured(SAFE)})

    def _argv(self, *arguments: str) -> list[str]:
        return ["git", f"--git-dir={self._dir}", *arguments]

    def _fetch(self, refs: Sequence[str], how: str) -> bool:
        """Fetch from the checkout's origin, with CI's credentials; returns whether it succeeded."""
        url, environ = self._source()
        if not url:
            self.fetch_error = "the checkout has no origin to fetch from (by HTTP, or a directory)"
            return False
        done = self.git(
            "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", how, "--", url, *refs,
            env=environ, ok=None, timeout=FETCH_TIMEOUT,
        )  # fmt: skip
        self.fetch_error = reason(done).rstrip(".") if done.exit_code else ""
        return not self.fetch_error

    def _source(self) -> tuple[str, dict[str, str]]:
        """The origin's URL without credentials, and an environ with them (`origin.source`)."""
        # with its includes: actions/checkout@v6 keeps the credentials in a file of its own
        keys = r"^(remote\.origin\.url|http\..*\.extraheader)$"
        listed = self._ask("config", "--local", "--includes", "--get-regexp", keys)
        listed = listed if ".extraheader " in listed.lower() else self._elsewhere()
        return origin.source(listed, self._origin)

    def _elsewhere(self) -> str:
        """The lines for `_source` when actions/checkout@v6 includes its files for other paths."""
        url = self._ask("config", "--local", "--get-regexp", r"^remote\.origin\.url$")
        included = self._ask("config", "--local", "--get-regexp", r"^includeif\..*\.path$")
        for path in origin.credentials(included, self._ci.environ.get("RUNNER_TEMP", "")):
            words = ("config", "--file", str(path), "--get-regexp", r"^http\..*\.extraheader$")
            if found := self._ask(*words):
                return f"{url}\n{found}"
        return url
