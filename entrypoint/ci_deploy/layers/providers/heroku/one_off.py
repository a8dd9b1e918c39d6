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
    """Runs commands in one-off dynos of one app."""

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
        """Run a command; returns its exit code and last lines. Raises OutcomeUnknown when the exit
        code is unknown, DeployFailed or Unauthorized when Heroku refuses, Refused for unsuitable
        variables."""
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
            self._ctx.console.warning(
                "the connection was unreliable: the beginning of the output is lost."
            )
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
        """Stop the dyno of the last command if it still runs; returns a sentence about it for the
        log, empty if there was none to stop."""
        word, self.word = self.word, ""
        look = f"`heroku ps -a {self._app}` shows it, `heroku ps:stop` stops it."
        try:
            names = self._dynos.with_word(word) if word else []
        except DeployError:
            return f"Its one-off dyno may still run: {look}"
        stopped = {name: self._dynos.stop(name) for name in names}
        if running := [name for name in names if not stopped[name]]:
            return f"The one-off dyno {', '.join(running)} could not be stopped: {look}"
        return f"The one-off dyno {', '.join(names)} was stopped." if names else ""

    def _unknown(self, what: str, result: Result, markers: Markers, left: str) -> Exception:
        """The error when there is no exit code."""
        said = [line for line in map(_plain, result.errors.splitlines()) if line]
        lines = tuple(said[-5:])
        if not markers.begun and not left and (reason := answers.cli_refusal(said)):
            if answers.BAD_KEY.search(reason):
                return Unauthorized(f"Heroku rejects the API key ({what}): {reason}", lines=lines)
            return DeployFailed(f"{what}: Heroku rejected the command: {reason}", lines=lines)
        late = "timed out (DEPLOY_TIMEOUT)" if result.timed_out else "the connection was lost"
        why = markers.why or late
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
    if len(told) > ENVIRON_LIMIT or not all(map(NAME.fullmatch, env)):
        message = (
            "these variables cannot be passed to a one-off command: their names are not valid, or "
        )
        raise Refused(f"{message}they have more than {ENVIRON_LIMIT} bytes.")
    return told


def _plain(line: str) -> str:
    return line.strip().removeprefix("›").strip()
