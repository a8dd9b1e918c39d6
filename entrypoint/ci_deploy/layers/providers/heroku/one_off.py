"""One-off commands by the heroku CLI, with the true exit code.

The CLI's own `--exit-code` loses output and invents codes (measured with 11.10.0), so the command
runs inside a wrapper of ours. It waits for a secret word before it begins: a dyno to which nobody
is attached runs nothing. It ends with a marker that contains the exit code; without the whole
marker the result is unknown, and the dyno is found by the word and stopped.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shlex
from collections.abc import Mapping, Sequence

from ci_deploy.errors import (
    DeployError,
    DeployFailed,
    OutcomeUnknown,
    Refused,
    Unauthorized,
)
from ci_deploy.layers.providers.heroku import answers
from ci_deploy.layers.providers.heroku.api import NotFound
from ci_deploy.layers.providers.heroku.dynos import Dynos
from ci_deploy.layers.providers.heroku.markers import Markers
from ci_deploy.layers.providers.heroku.settings import API
from ci_deploy.process.program import Change, Command, Result
from ci_deploy.run.context import Context
from ci_deploy.settings.lines import NAME
from ci_deploy.state import Ran

# $1 the word, $2 the command, $3 seconds between signs of life, $4 bytes of `export …` on stdin.
WRAPPER = (
    'printf "%s:pre\\n" "$1"; read -r g; [ "$g" = "$1" ] || exit 98; '
    '[ "$4" = 0 ] || eval "$(dd bs=1 count="$4" 2>/dev/null)"; '
    'printf "%s:begin\\n" "$1"; '
    '(while sleep "$3" >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; '
    'do printf "%s:tick\\n" "$1"; done) & t=$!; '
    's=$(command -v bash || echo sh); "$s" -c "$2" </dev/null 2>&1; c=$?; kill "$t"; '
    'printf "%s:end:%d:%s\\n" "$1" "$c" "$1"; exit "$c"'
)
TICK = "30"  # seconds
ENVIRON_LIMIT = 60_000  # bytes: what a pipe holds while nobody reads it


class OneOff:
    """Runs commands in one-off dynos of one app, one at a time. `url` is that of the Platform API,
    `key` the API key for the CLI."""

    def __init__(self, ctx: Context, dynos: Dynos, app: str, *, url: str, key: str) -> None:
        self._ctx = ctx
        self._dynos = dynos
        self._app = app
        self._key = key
        self._url = url
        self.word = ""  # the secret word of the command that runs now

    def run(
        self, command: Sequence[str], *, what: str, env: Mapping[str, str], timeout: float
    ) -> Ran:
        """Run a command for at most `timeout` seconds, with the variables `env`; returns its exit
        code and last lines. `what` is the text of the change. A first word that names a process
        type stands for that type's command. Raises OutcomeUnknown when the exit code is unknown,
        DeployFailed or Unauthorized when Heroku refuses, Refused for variables that cannot be
        passed, ToolMissing."""
        word = secrets.token_hex(12)
        told = _exports(env)
        arguments = [word, self._line(command), TICK, str(len(told))]
        wrapped = shlex.join(["sh", "-c", WRAPPER, "sh", *arguments])
        argv = ["heroku", "run", "--no-tty", "--no-notify", f"--app={self._app}", "--", wrapped]
        markers = Markers(word, timeout)
        read, write = os.pipe()
        try:
            os.write(write, f"{word}\n".encode() + told)
            self.word = word
            change = Change(Command(argv, self._environ(), read), what)
            result = self._ctx.runner.change_filtered(change, markers)
            if result.planned:
                os.close(read)
        finally:
            os.close(write)
        if result.planned:
            return Ran(0, planned=True)
        left = self.stop()
        if markers.code is None:
            raise self._unknown(what, result, markers, left)
        if not markers.begun:
            self._ctx.console.warning(f"{what}: the beginning of its output did not arrive.")
        return Ran(markers.code, result.lines)

    def _line(self, command: Sequence[str]) -> str:
        """The command as a shell line; a process type stands for its own command."""
        first, *rest = command
        if re.fullmatch(r"[\w-]+", first):
            with contextlib.suppress(NotFound):
                known = self._dynos.commands()
                if first in known:
                    return f"{known[first]} {shlex.join(rest)}".rstrip()
        return shlex.join(command)

    def stop(self) -> str:
        """Stop the dyno of the last command if it still runs; returns a sentence for the log about
        what was or could not be stopped, empty if there was nothing to stop."""
        word, self.word = self.word, ""
        stop = f"`heroku ps:stop {{}} -a {self._app}` stops it."
        try:
            names = self._dynos.with_word(word) if word else []
        except DeployError:
            look = f"`heroku ps -a {self._app}` shows it, {stop.format('NAME')}"
            return f"A one-off dyno of {self._app} may still be running the command: {look}"
        stopped = {name: self._dynos.stop(name) for name in names}
        if running := [name for name in names if not stopped[name]]:
            again = stop.format(running[0])
            return f"The one-off dyno {', '.join(running)} could not be stopped: {again}"
        return f"The one-off dyno {', '.join(names)} was stopped." if names else ""

    def _unknown(self, what: str, result: Result, markers: Markers, left: str) -> Exception:
        """The error when there is no exit code."""
        said = [line for line in map(_plain, result.errors.splitlines()) if line]
        lines = tuple(said[-5:])
        if not markers.begun and not left and (reason := answers.cli_refusal(said)):
            if answers.BAD_KEY.search(reason):
                return Unauthorized(f"Heroku rejects the API key ({what}): {reason}", lines=lines)
            return DeployFailed(f"{what}: Heroku rejected the command: {reason}", lines=lines)
        lost = result.killed.rstrip(".") or "the heroku CLI ended without the command's exit code"
        why = markers.why or ("timed out (DEPLOY_TIMEOUT)" if result.timed_out else lost)
        message = f"{what}: {why}, so its result is unknown. {left}".rstrip()
        return OutcomeUnknown(message, lines=(*result.lines, *lines))

    def _environ(self) -> dict[str, str]:
        """The environ for the CLI: the key, and a separate home directory."""
        home = self._ctx.private_dir / "heroku"
        home.mkdir(mode=0o700, exist_ok=True)
        return {
            **({} if self._url == API else {"HEROKU_HOST": self._url}),
            "HEROKU_API_KEY": self._key,
            "HEROKU_PARTICLEBOARD_URL": self._url,
            "HOME": str(home),
        }


def _exports(env: Mapping[str, str]) -> bytes:
    """The text that the wrapper evaluates: values are in no argv, here or on the dyno. Raises
    Refused."""
    told = "".join(f"export {key}={shlex.quote(value)}\n" for key, value in env.items()).encode()
    if wrong := [name for name in env if not NAME.fullmatch(name)]:
        message = f"a one-off command cannot get variables with these names: {', '.join(wrong)}."
        raise Refused(message, hint="A name may contain only letters, digits and `_`.")
    if len(told) > ENVIRON_LIMIT:
        message = f"the variables for a one-off command total {len(told)} bytes: at most "
        raise Refused(f"{message}{ENVIRON_LIMIT} can be passed.")
    return told


def _plain(line: str) -> str:
    return line.strip().removeprefix("›").strip()
