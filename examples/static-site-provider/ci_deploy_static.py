"""The provider `static`: a static site on an ssh host. Each release is a directory, and a symbolic
link names the live one. An example of a provider in a separate package.

The host needs only a shell and tar. A release is unpacked beside the others and the link is
switched in one step, so that visitors see the old site or the new one, and never a part of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ci_deploy.errors import DeployFailed, Refused, SkipDeploy, Unreachable
from ci_deploy.git.archive import write_archive
from ci_deploy.layers.priorities import Configure
from ci_deploy.layers.providers.base import Provider
from ci_deploy.net.ssh.client import Ssh, SshSettings
from ci_deploy.net.ssh.server import Server, server
from ci_deploy.process.program import Change, Result
from ci_deploy.run.events import Event, on
from ci_deploy.run.order import guard, order
from ci_deploy.settings import setting, settings
from ci_deploy.state import Deployed, Live, ProcessAction, Ran

KEPT = 5  # releases that stay on the host
LOST = 255  # ssh's exit code for a connection that ends
# Every script gets the site's directory as $1. A release is called TIME-REVISION.
LOOK = 'readlink "$1/current" || echo; cd "$1/releases" 2>/dev/null && ls -1 || :'
UNPACK = """
mkdir -p "$1/releases" && cd "$1/releases"
trap 'rm -rf ".$2"' EXIT
rm -rf ".$2" && mkdir ".$2" && tar -xf - -C ".$2" && mv -T ".$2" "$2"
"""
SWITCH = """
cd "$1" && [ -d "releases/$2" ]
ln -sfn "releases/$2" .current && mv -fT .current current
ls -1 releases | sort -r | tail -n +$(($3 + 1)) | while read -r old; do
    [ "$old" = "$2" ] || rm -rf "releases/$old"
done
"""
RUN = 'cd "$1/current/" && shift && exec "$@"'
SIZE = "df -h \"$1\" 2>/dev/null | tail -n 1 | awk '{print $4}'"


@settings
class StaticSettings(SshSettings):
    """Settings of a static site."""

    host: Server = setting("STATIC_HOST", "The host: `[user@]host[:port]`", parse=server)
    path: str = setting(
        "STATIC_PATH",
        "The site's directory on the host; `current` in it is the web server's root",
        pattern=r"/[\w./-]*\w",
        example="/srv/site",
    )


class Static(Provider[StaticSettings]):
    """Deploys the files in APP_DIR to a directory that a web server on the host serves."""

    name = "static"
    Settings: ClassVar[type[Any]] = StaticSettings
    trigger = "STATIC_HOST"
    migrates = frozenset[str]()
    exists = True

    def __init__(self, ctx: Any, settings: StaticSettings) -> None:
        super().__init__(ctx, settings)
        self.ssh = Ssh(ctx, settings)
        self.current = ""
        self.releases: list[str] = []  # oldest first
        self.target = ""  # the release to go back to

    def problems(self) -> Any:
        yield from self.ssh.prepare()

    def begin(self) -> None:
        self.ssh.open(self.settings.host)

    def connect(self) -> None:
        self.ssh.ready(self.settings.host)
        self.ctx.before = self.live()

    # --- questions ---

    def _command(self, script: str, *words: str, stdin: Any = b"") -> Any:
        argv = ["sh", "-ec", script, "ci-deploy", self.settings.path, *words]
        return self.ssh.command(self.settings.host, argv, stdin)

    def live(self) -> Live:
        [answer] = self.ctx.runner.read_all([self._command(LOOK)], ok=None)
        if answer.exit_code:
            raise Unreachable(f"{self.settings.host} cannot be queried: {answer.errors}")
        link, *names = answer.out.decode(errors="replace").splitlines()
        self.current = link.rpartition("/")[2]
        self.releases = sorted(name for name in names if _revision(name))
        there = self.current in self.releases
        detail = "" if there or not self.current else "`current` points to no release"
        return Live(_revision(self.current), there, self.current, detail=detail)

    def inspect(self) -> Mapping[str, str]:
        [left] = self.ctx.runner.read_all([self._command(SIZE)], ok=None)
        return {"releases": str(len(self.releases)), "room left": left.text or "unknown"}

    def history(self) -> Sequence[Deployed]:
        return [Deployed(_revision(n), _time(n), release=n) for n in reversed(self.releases)]

    # --- a deploy ---

    @on(Event.CONFIGURE, Configure.COMPARE)
    def compare(self) -> None:
        """Decide whether there is anything to deploy."""
        ctx = self.ctx
        if ctx.command != "deploy":
            return
        live = ctx.before or Live()
        ctx.console.indent(f"live now: {live.release or 'no known release'}")
        if live.up and live.revision == ctx.revision and not ctx.settings.redeploy:
            raise SkipDeploy(f"{ctx.app} already runs {ctx.revision[:7]}.")
        found = order(ctx.repository, ctx.revision, live.revision)
        guard(ctx, live.revision, found, force=True, overwrites=False)

    @on(Event.DEPLOY)
    def deploy(self) -> None:
        """Unpack the files on the host, then switch to them."""
        ctx, host = self.ctx, self.settings.host
        [now] = ctx.runner.read_all([self._command("date -u +%Y%m%dT%H%M%SZ")])
        release = f"{now.text}-{ctx.revision}"
        folder = ctx.settings.app_dir
        files = write_archive(ctx.repository, ctx.private_dir, ctx.revision, folder)
        what = f"unpack {folder or 'the files'} of {ctx.revision[:7]} on {host}"
        self._change(what, UNPACK, release, stdin=files)
        self._switch(release)

    def _switch(self, release: str) -> None:
        what = f"switch {self.ctx.app} to {release}"
        if self._change(what, SWITCH, release, str(KEPT)).planned:
            return
        live = self.live()
        if live.release != release:
            found = live.release or "nothing"
            message = f"{release} is not live: {self.settings.host} reports {found} instead."
            raise DeployFailed(message, hint="Let only one job at a time deploy a site.")
        self.ctx.verified(live, release)

    def _change(self, what: str, script: str, *words: str, stdin: Any = b"") -> Result:
        change = Change(self._command(script, *words, stdin=stdin), what)
        [result] = self.ctx.runner.change_all([change], ok=(0, LOST))
        if result.exit_code == LOST:
            raise Unreachable(f"{what}: the connection was lost.")
        return result

    # --- a rollback ---

    def rollback_target(self, wanted: str) -> str:
        older = [name for name in self.releases if name < self.current]
        ours = _revision(self.current)
        meant = [n for n in (self.releases if wanted else older) if _revision(n) != ours]
        found = [n for n in meant if _revision(n).startswith(wanted)]
        if not found:
            kept = ", ".join(n[-40:][:7] for n in self.releases) or "none"
            raise Refused(f"there is no such release to roll back to; the host has {kept}.")
        self.target = found[-1]
        return _revision(self.target)

    def roll_back(self, revision: str) -> None:  # noqa: ARG002
        before = self.ctx.before
        if self.ctx.command != "rollback" and before:  # ROLLBACK_ON_FAILURE
            self.target = before.release
        self._switch(self.target)

    # --- what other layers may ask for ---

    def run(
        self,
        command: Sequence[str],
        *,
        what: str = "",
        env: Mapping[str, str] | None = None,
        timeout: float = float("inf"),
    ) -> Ran:
        words = ["env", *(f"{key}={value}" for key, value in (env or {}).items()), *command]
        change = Change(self._command(RUN, *words), what or f"run {' '.join(command)}")
        [result] = self.ctx.runner.change_all([change], ok=None, timeout=timeout)
        return Ran(result.exit_code, result.lines, result.planned)

    def process(self, name: str, action: ProcessAction, count: int | None = None) -> None:  # noqa: ARG002
        self._cannot(f"{action} a process")


def _revision(release: str) -> str:
    return release.partition("-")[2]


def _time(release: str) -> str:
    """`20261129T164700Z-…` → `2026-11-29T16:47:00Z`."""
    t = release.partition("-")[0]
    return f"{t[:4]}-{t[4:6]}-{t[6:11]}:{t[11:13]}:{t[13:]}"
