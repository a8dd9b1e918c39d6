"""The hosts of an app: queries, and commands that change something."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from ci_deploy.errors import DeployError, OutcomeUnknown, Unreachable, together
from ci_deploy.layers.providers.compose.facts import HostFacts, read_facts, review_dir
from ci_deploy.layers.providers.docker.backups import DATABASES
from ci_deploy.layers.providers.docker.client import ASKING
from ci_deploy.layers.providers.docker.files import digest
from ci_deploy.layers.providers.docker.options import no_folder
from ci_deploy.layers.providers.docker.release import tar
from ci_deploy.layers.providers.docker.review import Known
from ci_deploy.layers.providers.docker.sharing import BESIDE_HERE
from ci_deploy.layers.providers.docker.variables import UNSET_HERE
from ci_deploy.net.ssh.client import Ssh, quoted
from ci_deploy.net.ssh.server import Server
from ci_deploy.process.program import Change, Command, Result, Stdin
from ci_deploy.process.runner import Runner

NO_FOLDER, NO_RUNNER = 96, 97  # exit codes of the two lines of shell below
START = (
    'cd "${1:-$HOME}" || exit 96; f=.ci-deploy/$2; shift 2; '
    '[ -f "$f" ] || exit 97; exec sh "$f" "$@"'
)
# For a query to a host without our program: it comes with the query, and is removed after it.
ONCE = (
    'cd "${1:-$HOME}" || exit 96; d=$(mktemp -d "${TMPDIR:-/tmp}/ci-deploy-probe.XXXXXX") && '
    'tar -x -f - -C "$d" || exit 95; '
    'f=$d/$2; shift 2; exec sh "$f" "$@" "$d"'
)
INSTALL = (
    'cd "${1:-$HOME}" || exit 96; umask 077; mkdir -p .ci-deploy && '
    'cat >".ci-deploy/$2.$$" && mv -f ".ci-deploy/$2.$$" ".ci-deploy/$2"'
)
STAGE_TIMEOUT = 300.0  # seconds; the upload is small, but a registry may be slow


@cache
def host_program() -> tuple[str, bytes]:
    """Our program for the hosts, joined from all its files: its name there, which contains its
    hash, and its text."""
    own = sorted(Path(__file__).with_name("host").glob("*.sh"))
    text = "".join(
        path.read_text(encoding="utf-8")
        for path in (own[0], ASKING, BESIDE_HERE, DATABASES, UNSET_HERE, *own[1:])
    )
    return f"runner-{hashlib.sha256(text.encode()).hexdigest()[:12]}.sh", text.encode()


@dataclass
class Host:
    """One host of the app: its address, and its last answer (`facts`; empty before `probe`)."""

    server: Server
    facts: HostFacts = field(default_factory=HostFacts)

    def __str__(self) -> str:
        return str(self.server)


class Hosts:
    """All hosts of the app, used in parallel: one connection each, every command a session."""

    def __init__(
        self,
        ssh: Ssh,
        runner: Runner,
        hosts: Sequence[Server],
        path: str,
        review: Callable[[], str] = str,
    ) -> None:
        """`review` returns the name of the review app in whose directory commands run, or
        nothing."""
        self.all = [Host(each) for each in hosts]
        self._ssh = ssh
        self._runner = runner
        self._path = path
        self._review = review

    @property
    def first(self) -> Host:
        """The host where migrations run and the record of unfinished tasks is kept."""
        return self.all[0]

    def open(self) -> None:
        """Start connecting to every host, without waiting."""
        for host in self.all:
            self._ssh.open(host.server)

    def ready(self) -> None:
        """Wait for all connections. Raises one error that combines those of all hosts that fail
        (Unreachable, Unauthorized …); once one has failed, the next are tried only once."""
        failed: list[DeployError] = []
        for host in self.all:
            try:
                self._ssh.ready(host.server, again=not failed)
            except DeployError as error:
                failed.append(error)
        if failed:
            raise together(failed)

    def connected(self, host: Host) -> bool:
        """Whether the connection to the host has not been lost: its ssh process still runs."""
        return self._ssh.alive(host.server)

    def reconnect(self, host: Host) -> None:
        """Connect again if the connection is lost. Raises like `Ssh.ready`."""
        self._ssh.ready(host.server)

    # --- queries ---

    def probe(self, app: str, project: str, parts: Mapping[str, bytes], *, version: bool) -> None:
        """Fetch all that a run needs to know into each host's `facts`. `project`: the Compose
        project; empty: the one that Compose chooses. `parts`: the release's files for Compose (path
        → bytes), which a host reads only if its current release has others. `version`: ask for
        Compose's version in any case. Raises Unreachable, SettingsError when DEPLOY_PATH does not
        exist, DeployError when the query fails."""
        words = ["probe", app, project or "-", "-" if version else digest(parts)]
        answers = self._read(self.all, words, tar(parts))
        new = [h for h, a in zip(self.all, answers, strict=True) if a.exit_code == NO_RUNNER]
        if new:
            name, program = host_program()
            once = self._read(new, words, tar({**parts, name: program}), start=ONCE)
            answers = _renewed(self.all, answers, new, once)
        for host, answer in zip(self.all, answers, strict=True):
            self._check(host, answer)
            host.facts = read_facts(answer.text)

    def status(self, app: str) -> None:
        """Fetch again what runs, from hosts that have this version's program (nothing has changed
        on others); the `facts` about compose files are empty then. Raises like `probe`."""
        for host, answer in zip(self.all, self._read(self.all, ["status", app]), strict=True):
            if answer.exit_code == NO_RUNNER:
                continue  # this run has changed nothing on it
            self._check(host, answer)
            old = host.facts
            host.facts = replace(read_facts(answer.text), path=old.path, top=old.top, mark=old.mark)

    def ask(self, host: Host, words: Sequence[str]) -> str:
        """The output of a function of the host program (`words`: its name and arguments). To a host
        without this version of the program it is sent along. Raises like `probe`."""
        [answer] = self._read([host], words)
        if answer.exit_code == NO_RUNNER:
            name, program = host_program()
            [answer] = self._read([host], words, tar({name: program}), start=ONCE)
        self._check(host, answer)
        return answer.text

    def reviews(self) -> list[Known]:
        """The review apps of all base apps in DEPLOY_PATH, each once for every host that has it.
        Raises like `probe`."""
        lines = [line for host in self.all for line in self.ask(host, ["reviews"]).splitlines()]
        return [review_dir(e.removeprefix("review ")) for e in lines if e[:7] == "review "]

    def _read(
        self, hosts: Sequence[Host], words: Sequence[str], stdin: bytes = b"", *, start: str = START
    ) -> list[Result]:
        """The results; a host whose connection was lost meanwhile is asked once more."""
        commands = [self.command(host, words, stdin, start=start) for host in hosts]
        answers = self._runner.read_all(commands, ok=None)
        lost = [
            host
            for host, answer in zip(hosts, answers, strict=True)
            if answer.exit_code == 255 and not self.connected(host)
        ]
        for host in lost:
            self.reconnect(host)
        if not lost:
            return answers
        commands = [self.command(host, words, stdin, start=start) for host in lost]
        return _renewed(hosts, answers, lost, self._runner.read_all(commands, ok=None))

    def command(
        self,
        host: Host,
        words: Sequence[str],
        stdin: Stdin = b"",
        *,
        start: str = START,
    ) -> Command:
        """The ssh command that runs a function of the host program (`words`: its name and
        arguments) in DEPLOY_PATH, or in the directory of the review app. `start` is the shell line
        that finds the program; it exits with NO_FOLDER or NO_RUNNER if something is missing."""
        begin = ["sh", "-c", start, "ci-deploy", self._path, host_program()[0]]
        if words and (review := self._review()):
            begin += ["within", review]
        return self._ssh.command(host.server, [*begin, *words], stdin)

    # --- changes ---

    def change(
        self,
        hosts: Sequence[Host],
        words: Sequence[str] | Callable[[Host], Sequence[str]],
        what: Callable[[Host], str],
        stdin: Mapping[str, bytes | int] | bytes | Path = b"",
        *,
        timeout: float = STAGE_TIMEOUT,
        quiet: bool = True,
    ) -> list[Result]:
        """Run a function of the host program on several hosts in parallel; any exit code of it is
        returned. `what` describes the change on a host; `plan` only announces it.

        Uploads the program where it is missing. `words` may be a function of the host, and `stdin`
        a file, or by the host's name its bytes or a descriptor (which can be read only once).
        `timeout` is in seconds; `quiet` keeps the output out of the log. Raises Unreachable when a
        connection is lost (the function may still run), OutcomeUnknown after the timeout,
        SettingsError when DEPLOY_PATH does not exist, CommandFailed when the upload fails.
        """

        def attempt(some: Sequence[Host], *, again: bool) -> list[Result]:
            told = words if callable(words) else lambda _host: words
            commands = [self.command(h, told(h), _for(stdin, h)) for h in some]
            changes = [
                Change(command, "" if again else what(host), self.prefix(host), quiet=quiet)
                for host, command in zip(some, commands, strict=True)
            ]
            return self._runner.change_all(changes, ok=None, timeout=timeout)

        results = attempt(hosts, again=False)
        new = [h for h, r in zip(hosts, results, strict=True) if r.exit_code == NO_RUNNER]
        if new:
            self._install(new)
            results = _renewed(hosts, results, new, attempt(new, again=True))
        for host, result in zip(hosts, results, strict=True):
            if not result.planned:
                self._check(host, result, ok=None)
        return results

    def _install(self, hosts: Sequence[Host]) -> None:
        program = host_program()[1]
        commands = [self.command(host, [], program, start=INSTALL) for host in hosts]
        changes = [Change(command, "", quiet=True) for command in commands]
        self._runner.change_all(changes, timeout=STAGE_TIMEOUT)

    def prefix(self, host: Host) -> str:
        """The prefix of a host's lines in the log: `HOST: `; empty if there is only one host."""
        return f"{host}: " if len(self.all) > 1 else ""

    def watch_command(self, host: Host, app: str) -> str:
        """The ssh command by which a person follows the log of the app's last run on a host."""
        folder = quoted([next(iter(host.facts.top), host.facts.path) or self._path or "."])
        within = f"within {review} " if (review := self._review()) else ""
        inner = f"cd {folder} && sh .ci-deploy/{host_program()[0]} {within}watch {app}"
        return f"{host.server.login} {quoted([inner])}"

    def _check(self, host: Host, answer: Result, ok: int | None = 0) -> None:
        said = (answer.errors or "\n".join(answer.lines)).splitlines()
        last = said[-1] if said else "no reason given"
        if answer.exit_code == 255 and not self.connected(host):
            message = f"the connection to {host} was lost: {last}"
            raise Unreachable(message, hint="Run the job again: it first asks the host what runs.")
        if answer.exit_code == NO_FOLDER:
            raise no_folder(host.server, self._path)
        if ok is not None and answer.exit_code != ok:
            message = f"{host} could not be queried (exit code {answer.exit_code}): {last}"
            raise DeployError(message)


def _renewed(
    hosts: Sequence[Host], results: Sequence[Result], some: Sequence[Host], newer: Sequence[Result]
) -> list[Result]:
    """The results of all hosts, with those of `some` replaced by the `newer` ones."""
    later = dict(zip(map(str, some), newer, strict=True))
    return [later.get(str(host), result) for host, result in zip(hosts, results, strict=True)]


def _for(stdin: Mapping[str, bytes | int] | bytes | Path, host: Host) -> Stdin:
    return stdin if isinstance(stdin, bytes | Path) else stdin[str(host)]


@contextlib.contextmanager
def continuing(what: str, *, subject: str = "", hint: str) -> Iterator[None]:
    """Turn a lost connection into OutcomeUnknown: `what` continues on the host. `subject`
    begins its message."""
    try:
        yield
    except Unreachable as error:
        lost = f"{subject}{error.message.rstrip('.')}"
        message = f"{lost}; {what} continues on the host if it had begun."
        raise OutcomeUnknown(message, hint=hint) from error
