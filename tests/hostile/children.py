"""What the programs that a run starts are given: their argument lists and their variables."""

from __future__ import annotations

import ast
import contextlib
import os
import re
import shutil
import time
from collections.abc import Collection, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

import pytest

from ci_deploy.process.environ import PASSED_ON, child_environ
from ci_deploy.process.programs import ALWAYS
from standins.dokku.processes import children
from standins.support import Done, Run

# Who gets a secret as a variable, since it needs it: askpass.sh asks for the passphrase there.
MAY_KNOW = {
    "SSH_PRIVATE_KEY_PASSPHRASE": {"ssh-add", "askpass.sh", "dash", "bash", "busybox"},
    "SENTRY_AUTH_TOKEN": {"sentry-cli"},
    "HEROKU_API_KEY": {"heroku", "node"},
}
ADDED = {
    *("SSH_AUTH_SOCK", "SSH_ASKPASS", "SSH_ASKPASS_REQUIRE", "DISPLAY"),
    *("CI_DEPLOY_ASKED", "CI_DEPLOY_ANSWER", "CI_DEPLOY_USER", "CI_DEPLOY_PASSWORD"),
    *("GIT_SSH_COMMAND", "GIT_SSH_VARIANT", "GIT_CONFIG_COUNT", "GIT_INDEX_FILE", "GIT_WORK_TREE"),
    *("HEROKU_API_KEY", "HEROKU_HOST", "HEROKU_PARTICLEBOARD_URL"),
    *("SENTRY_AUTH_TOKEN", "SENTRY_URL", "SENTRY_ORG", "SENTRY_PIPELINE"),
}
BY_OTHERS = {  # sh, git and the heroku CLI
    "HEROKU_UPDATE_INSTRUCTIONS",
    *("PWD", "OLDPWD", "SHLVL", "_", "GIT_PREFIX", "GIT_DIR", "GIT_PROTOCOL", "GIT_EXEC_PATH"),
}
NUMBERED = re.compile(r"GIT_CONFIG_(KEY|VALUE)_\d+")
EXECUTED = re.compile(r"execve\((.*), \[(.*)\], \[(.*)\](?:\) += 0| ?<unfinished \.\.\.>)$", re.M)
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
Seen = set[tuple[tuple[str, str], str]]  # of which program its argv or environ, and the text


class Child(NamedTuple):
    """A program that was executed."""

    program: str
    argv: str
    environ: dict[str, str]


def unexpected(names: Collection[str], folder: Path) -> set[str]:
    """The variables that nobody has let through; `folder` is an empty one."""
    passed = child_environ(dict.fromkeys(PASSED_ON, ""), folder, ca_bundle="ca.pem")
    always = {name for each in ALWAYS.values() for name in each}
    return {
        name
        for name in {*names} - {*passed, *always, "PATH", *ADDED, *BY_OTHERS}
        if not NUMBERED.fullmatch(name)
    }


def noted(notes: Path) -> list[str]:
    """What starts a command so that strace notes each program with all that it is given."""
    if not shutil.which("strace"):
        assert "CI" not in os.environ, "strace is needed (Debian: apt-get install strace)"
        pytest.skip("no strace: what programs are given was not seen")
    words = ["-f", "-qq", "-v", "-s", "1000000", "--seccomp-bpf", "-e", "trace=execve"]
    return ["strace", *words, "-o", str(notes)]


def executed(notes: Path) -> Iterator[Child]:
    """The programs, apart from the first one, which is ours."""
    for path, argv, environ in EXECUTED.findall(notes.read_text(errors="replace"))[1:]:
        variables = (_text(each).partition("=") for each in STRING.findall(environ))
        words = " ".join(map(_text, STRING.findall(argv)))
        yield Child(Path(_text(path)).name, words, {name: value for name, _, value in variables})


def _text(quoted: str) -> str:
    """What strace has quoted as C does, byte by byte."""
    return bytes(ast.literal_eval(f"b{quoted}")).decode(errors="replace")


def watched(running: Run, ending: Future[Done], private: Path) -> tuple[Seen, list[str]]:
    """What the argv and environ of its children had, and which private files others may read;
    until it ends."""
    seen, loose = Seen(), set[str]()
    while not ending.done():
        for child in children(running.process.pid):
            with contextlib.suppress(OSError):
                program = Path(f"/proc/{child}/exe").readlink().name
                argv = Path(f"/proc/{child}/cmdline").read_bytes()
                environ = Path(f"/proc/{child}/environ").read_bytes()
                if Path(f"/proc/{child}/exe").readlink().name != program:
                    continue  # it has just become another one
                if not program.startswith("python"):  # a fork of ours still has our own
                    seen.add(((program, "argv"), argv.decode(errors="replace")))
                    seen.add(((program, "environ"), environ.decode(errors="replace")))
        for path in private.iterdir():
            with contextlib.suppress(OSError):
                if path.stat().st_mode & 0o077:
                    loose.add(str(path))
        time.sleep(0.03)
    return seen, sorted(loose)
