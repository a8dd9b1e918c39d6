"""The manager to which queries and changes go: the first of SERVER_HOST that can be used."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from copy import copy
from functools import cache
from pathlib import Path
from typing import BinaryIO

from ci_deploy.errors import (
    DeployError,
    DeployFailed,
    Locked,
    OutcomeUnknown,
    Problem,
    SettingsError,
    ToolMissing,
    Unauthorized,
    Unreachable,
    together,
)
from ci_deploy.layers.providers.docker.backups import DATABASES
from ci_deploy.layers.providers.docker.client import ASKING
from ci_deploy.layers.providers.docker.login import Login
from ci_deploy.layers.providers.docker.options import no_folder
from ci_deploy.layers.providers.docker.sharing import BESIDE_HERE
from ci_deploy.layers.providers.docker.variables import UNSET_HERE
from ci_deploy.layers.providers.swarm.state import Stack, read_stack
from ci_deploy.layers.providers.swarm.waiting import WAITING, has, holder, wait_for
from ci_deploy.net.ssh.client import Ssh
from ci_deploy.net.ssh.server import Server
from ci_deploy.process.child import Child, drain
from ci_deploy.process.program import Change, Command, Result
from ci_deploy.run.context import Context

OLDEST = 20  # the first version of Docker with jobs
# Scripts that take the folder and the stack before their own arguments.
PLACED = {"look", "read", "lock", "database", "remove", "forget", "volumes", "back", "scale"}
NO_FOLDER, REFUSED = 96, 77  # exit codes of the scripts
TIMEOUT = 300.0  # seconds for a change that the engine only has to accept


@cache
def script(*names: str) -> str:
    """The joined text of scripts that run on a node, named without `.sh`: those in host/, and those
    that Compose uses too."""
    folder = Path(__file__).with_name("host")
    shared = {path.stem: path for path in (ASKING, BESIDE_HERE, DATABASES, UNSET_HERE)}
    paths = (shared.get(name, folder / f"{name}.sh") for name in names)
    return "".join(path.read_text(encoding="utf-8") for path in paths)


class Manager:
    """A node to which queries and changes go: after `choose` the first manager of SERVER_HOST that
    can be used. `at` makes one for another node; `all` are the nodes of SERVER_HOST."""

    def __init__(
        self,
        ctx: Context,
        ssh: Ssh,
        where: Sequence[Server],
        path: str,
        stack: Callable[[], str],
    ) -> None:
        """`where`: the nodes of SERVER_HOST. `path`: DEPLOY_PATH, empty for the user's home.
        `stack` returns the stack's name, since a review app is known only later."""
        self.all = list(where)
        self.server = self.all[0]
        self._ctx, self._ssh = ctx, ssh
        self._path, self._stack = path, stack
        self._nodes: dict[str, str] = {}  # id → name

    def __str__(self) -> str:
        return str(self.server)

    @property
    def stack(self) -> str:
        """The name of the stack."""
        return self._stack()

    def at(self, server: Server) -> Manager:
        """A Manager for another node of SERVER_HOST, which need not be a manager of the swarm.
        Waits for the connection. Raises Unreachable, Unauthorized, ToolMissing, SettingsError."""
        if server == self.server:
            return self
        found = copy(self)
        found.server = server
        self._ssh.ready(server)
        return found

    def open(self) -> None:
        """Start connecting to the first of SERVER_HOST, without waiting."""
        self._ssh.open(self.server)

    def choose(self) -> Stack:
        """Choose the first manager that can be used, with a warning for each before it; returns the
        state of the stack. If there is none, raises one error for all of them: Unreachable,
        Unauthorized, ToolMissing or SettingsError."""
        failed: list[DeployError] = []
        for server in self.all:
            self.server = server
            try:
                self._ssh.ready(server, again=server == self.all[-1])
                stack = self.look()
                if unusable := self._unusable(stack):
                    raise unusable
            except DeployError as error:
                failed.append(error)
                continue
            for each in failed:
                self._ctx.console.warning(f"using another manager: {each.message}")
            return stack
        raise together(failed)

    def _unusable(self, stack: Stack) -> DeployError | None:
        where = f"{self.server.user}@{self}"
        if stack.complaint:
            if "permission denied" in stack.complaint:
                hint = f"On {self}, as root: usermod -aG docker {self.server.user}"
                return Unauthorized(f"{where} may not use Docker.", hint=hint)
            message = f"Docker on {self} does not answer: {stack.complaint}"
            return ToolMissing(message, hint=f"Install or start it on {self}.")
        client = stack.client.split(".")[0]
        if client.isdecimal() and int(client) < OLDEST:
            message = f"Docker {stack.client} on {self} is too old: swarms need 20.10 or newer."
            return ToolMissing(message, hint=f"Update the docker CLI on {self}.")
        if stack.missing:
            message = f"{', '.join(stack.missing)} cannot be found on {self}."
            return ToolMissing(message, hint="Install it: flock is in the package util-linux.")
        if stack.swarm != "active":
            remedy = "Make it a manager: docker swarm init, or docker swarm join."
            reason = f"{self} is not part of a swarm."
            if stack.swarm != "inactive":
                remedy = f"See `docker info` on {self}; if it is locked, run docker swarm unlock."
                reason = f"{self} cannot use its swarm now (state: {stack.swarm or 'unknown'})."
        elif not stack.manager:
            remedy = "Name a manager (docker node ls), or make it one: docker node promote."
            reason = f"{self} is a worker of the swarm, and only managers can deploy."
        elif not stack.nodes:
            remedy = "More than half of its managers must be reachable: a swarm needs a leader."
            reason = f"`docker node ls` on {self} lists no node."
        elif not stack.folder:
            return no_folder(self.server, self._path)
        else:
            return None
        return SettingsError(Problem("SERVER_HOST", reason, "", remedy))

    # --- queries ---

    def look(self, *, brief: bool = False) -> Stack:
        """The state of the stack; `brief`: only its services and tasks, and the nodes as they were
        known before. Raises Unreachable."""
        words = ["brief"] if brief else []
        stack = read_stack(self.stack, self.read(["look"], words).text.splitlines())
        self._nodes = stack.nodes = stack.nodes or self._nodes
        return stack

    def read(
        self, names: Sequence[str], words: Sequence[str], stdin: bytes = b"", *, timeout: float = 60
    ) -> Result:
        """Run the scripts `names`, joined, with the arguments `words`; any exit code is returned.
        They change nothing, so they run again, once, after a lost connection. `timeout`: seconds.
        Raises Unreachable when it is over, or the connection is lost again."""
        for again in (True, False):
            command = self._command(names, words, stdin)
            result = self._ctx.runner.read_all([command], ok=None, timeout=timeout)[0]
            if result.exit_code != 255 or self._ssh.alive(self.server):
                return result
            if again:
                self._ssh.ready(self.server)
        raise Unreachable(f"the connection to {self} was lost twice.")

    def _command(
        self, names: Sequence[str], words: Sequence[str], stdin: bytes | int | Path = b""
    ) -> Command:
        placed = [self._path, self.stack] if names[-1] in PLACED else []
        argv = ["sh", "-c", script(*names), "ci-deploy", *placed, *words]
        if names[-1] == "client":  # bash can speak TCP by itself
            argv[2:3] = ['exec "$(command -v bash || command -v sh)" -c "$1"']
            argv.append(script(*names))
        made = self._ssh.command(self.server, argv)
        return Command(made.argv, stdin=stdin)

    # --- changes ---

    def warn(self, text: str) -> None:
        """Log a warning, about something that does not decide the result."""
        self._ctx.console.warning(text)

    def change(
        self,
        names: Sequence[str],
        words: Sequence[str],
        what: str,
        stdin: bytes | Path = b"",
        *,
        quiet: bool = True,
        timeout: float = TIMEOUT,
    ) -> Result:
        """Run scripts like `read`, that change something; any exit code is returned. `timeout`:
        seconds. Raises OutcomeUnknown when the connection is lost meanwhile, or after that time."""
        change = Change(self._command(names, words, stdin), what, quiet=quiet)
        result = self._ctx.runner.change_all([change], ok=None, timeout=timeout)[0]
        if result.exit_code == 255 and not self._ssh.alive(self.server):
            message = f"{what}: the connection to {self} was lost."
            raise OutcomeUnknown(message.removeprefix(": "))
        return result

    def apply(self, content: bytes, login: Login, what: str, *, quiet: bool = False) -> bool:
        """Give the stack file `content` to the engine (`docker stack deploy`), which continues by
        itself; returns False when only planning. `quiet`: the output is not logged.

        Raises Unauthorized when the login to the registry fails, DeployFailed, OutcomeUnknown.
        """
        stdin = f"{login.password}\n".encode() + content
        words = [login.host, login.user, self.stack, self._path]
        result = self.change(["login", "apply"], words, what, stdin, quiet=quiet)
        if result.planned:
            return False
        if result.exit_code == REFUSED:
            raise self.refused(login, result.lines)
        if result.exit_code:
            said = result.lines[-1] if result.lines else "no reason given"
            message = f"`docker stack deploy` failed on {self}: {said}"
            raise DeployFailed(message, lines=result.lines, shown=not quiet)
        return True

    def refused(self, login: Login, lines: Sequence[str]) -> Unauthorized:
        """The error for a login to the registry that failed; `lines` is the output of login.sh."""
        said = next((e.removeprefix("login ") for e in lines if e.startswith("login ")), "")
        registry = login.host or "Docker Hub"
        message = f"docker login to {registry} as {login.user} failed on {self}: {said}"
        hint = f"Check DOCKER_USER and DOCKER_PASS, and that {self} reaches the registry."
        return Unauthorized(message, hint=hint)

    @contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """Context manager: while the block runs, no other job of ci-deploy changes the stack; in
        `plan` nothing is locked. Waits up to LOCK_TIMEOUT for another job; `what` names this run to
        jobs that wait. Raises Locked, DeployFailed, Cancelled."""
        facts = self._ctx.facts
        by = facts.job_url or facts.actor
        who = f"{what}{f' by {by}' if by else ''}"
        with nullcontext() if self._ctx.planning else self._lock(who):
            yield

    @contextmanager
    def _lock(self, who: str) -> Iterator[None]:
        """Hold a kernel lock on the manager; it ends with our connection, however we end.

        Raises Locked, DeployFailed.
        """
        seconds = self._ctx.settings.lock_timeout
        with self.beside(["lock"], [str(seconds), who]) as (child, _):
            said = wait_for(child, drain, self._ctx)
            if not has(said, "locked"):
                by = holder(said)
                over = bool(by) and time.monotonic() >= self._ctx.runner.until
                if over or has(said, "busy"):
                    long = "DEPLOY_TIMEOUT" if over else f"{seconds} s"
                    limit = "DEPLOY_TIMEOUT" if over else "LOCK_TIMEOUT"
                    raise Locked(
                        f"timed out waiting for the lock on {self.stack} ({long}); it is held by "
                        f"{by}.",
                        hint=f"Run the job again when that one has ended, or raise {limit} "
                        "(seconds).",
                    )
                why = drain(child.err).strip() or said.replace(WAITING, "waiting for ").strip()
                message = f"could not lock the stack {self.stack} on {self}: {why or 'no answer'}"
                where = f"{self._path or '~'}/.ci-deploy on {self}"
                hint = f"Check that {where} is writable for {self.server.user}."
                raise DeployFailed(message, hint=hint)
            yield

    @contextmanager
    def beside(
        self, names: Sequence[str], words: Sequence[str] = ()
    ) -> Iterator[tuple[Child, BinaryIO]]:
        """Context manager: while the block runs, run scripts (`names`, joined) on the manager
        beside other commands; yields the process and its stdin, which the kernel closes even when
        ci-deploy is killed."""
        read, write = os.pipe()
        with (
            os.fdopen(write, "wb", buffering=0) as stdin,
            self._ctx.runner.serve(self._command(names, words, read)) as child,
        ):
            yield child, stdin
