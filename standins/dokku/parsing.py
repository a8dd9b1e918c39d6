"""How Dokku turns the one string that ssh delivers into arguments.

Since 0.34 `git:*` arguments are split at whitespace, without any quoting; all others go through
`xargs -n 1`, whose default command is `echo`: it swallows `-n`, `-e` and `-E`, and answers
`--help` and `--version` itself. Before 0.34 only `config…` and `docker-options…` knew quotes.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from .output import fail
from .versions import QUOTING_OVER_SSH, Version

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

GLOBAL_FLAGS = ("--force", "--quiet", "--trace")
ECHO_FLAGS = re.compile(r"-[neE]+")


def split(raw: str, version: Version) -> list[str]:
    """Split a remote command as this version of Dokku does."""
    name = next((word for word in raw.split() if not word.startswith("--")), "")
    if version >= QUOTING_OVER_SSH:
        return raw.split() if name.startswith(("git:", "git-")) else echoed(xargs(raw))
    quotes = name.startswith(("config", "docker-options"))
    return xargs(raw) if quotes else raw.split()


def xargs(text: str) -> list[str]:
    """Split as GNU xargs does: quotes and backslashes protect, a quote ends at its line's end."""
    words: list[str] = []
    word: list[str] | None = None
    quote = ""
    characters = iter(text)
    for character in characters:
        if quote:
            if character == "\n":
                break
            if character == quote:
                quote = ""
            else:
                (word := word or []).append(character)
        elif character in "'\"":
            quote = character
            word = word or []
        elif character == "\\":
            (word := word or []).append(next(characters, ""))
        elif character in " \t\n":
            words += [] if word is None else ["".join(word)]
            word = None
        else:
            (word := word or []).append(character)
    if quote:
        kind = "single" if quote == "'" else "double"
        sys.stderr.write(
            f"xargs: unmatched {kind} quote; by default quotes are special to xargs "
            "unless you use the -0 option\n"
        )
        return words
    return words if word is None else [*words, "".join(word)]


def echoed(words: Sequence[str]) -> list[str]:
    """Return what is left after each word went through an `echo` of its own."""
    found: list[str] = []
    for word in words or [""]:
        if ECHO_FLAGS.fullmatch(word):
            found += [] if "n" in word else [""]
        elif word in ("--help", "--version"):
            import subprocess  # takes long to import, and hardly anybody asks

            answer = subprocess.run(
                ["/bin/echo", word], capture_output=True, text=True, check=False
            )
            found += answer.stdout.splitlines()
        else:
            found += word.split("\n")
    return found


class Options(dict[str, str]):
    """The options of a command, by their long name; repeated ones are joined by newlines."""

    def flag(self, name: str) -> bool:
        """Tell whether an option without value was given."""
        return self.get(name, "false") != "false"

    def many(self, name: str) -> list[str]:
        """Return all values of an option that may be repeated."""
        return self[name].split("\n") if name in self else []


def parse(
    words: Sequence[str],
    *,
    flags: Collection[str] = (),
    values: Collection[str] = (),
    interspersed: bool = True,
) -> tuple[list[str], Options]:
    """Separate options from arguments; an option that the command does not know fails it."""
    arguments: list[str] = []
    options = Options()
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if word == "--":
            arguments += rest
        elif not word.startswith("-"):
            arguments.append(word)
        elif word in GLOBAL_FLAGS:
            continue
        elif name in flags:
            options[name] = value if equals else "true"
        elif name in values:
            given = value if equals else next(rest, "")
            options[name] = f"{options[name]}\n{given}" if name in options else given
        else:
            fail(f"unknown flag: {name}")
        if arguments and not interspersed:
            arguments += rest
    return arguments, options


def pick(
    words: Sequence[str], *, flags: Collection[str] = (), values: Collection[str] = ()
) -> tuple[list[str], Options]:
    """Separate options from arguments as Dokku's shell functions do: the rest is left alone."""
    arguments: list[str] = []
    options = Options()
    rest = iter(words)
    for word in rest:
        if word in flags:
            options[word] = "true"
        elif word in values:
            options[word] = next(rest, "")
        else:
            arguments.append(word)
    return arguments, options


def parse_report(words: Sequence[str]) -> tuple[str, str, bool]:
    """Read the arguments of a `:report`: the app, the one flag asked for, whether JSON."""
    app, flag, as_json = "", "", False
    rest = iter(words)
    for word in rest:
        if word.startswith("--format"):
            value = word.partition("=")[2] or next(rest, "")
            if value not in ("json", "stdout"):
                fail("Invalid format specified, supported formats: json, stdout")
            as_json = value == "json"
        elif word.startswith("--") and (app or word != "--global"):
            flag = word
        elif not app:
            app = word
    return app, flag, as_json
