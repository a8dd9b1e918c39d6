"""`init`: from a checkout to its pipeline file, and what is still to be done by hand."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from ci_deploy import files
from ci_deploy.commands.assembly import Assembly
from ci_deploy.commands.first_steps import first_steps
from ci_deploy.commands.pipelines import ON_DOCKER, PIPELINES, Wish
from ci_deploy.commands.surroundings import Found, look
from ci_deploy.errors import UsageError
from ci_deploy.net.ssh.server import server
from ci_deploy.report import console as style
from ci_deploy.settings.parsers import boolean, suggestion, words

PROVIDERS = ("dokku", "heroku", "compose", "swarm")
HOSTS = {
    "dokku": "Dokku server",
    "compose": "Docker host (user@host)",
    "swarm": "Manager of the swarm (user@host)",
}
NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
ENVIRONMENT = re.compile(r"[a-z][a-z0-9-]*")


def init(assembly: Assembly, options: argparse.Namespace) -> int:
    """Ask what cannot be seen, write the file, say the rest. Raises UsageError."""
    ctx = assembly.bare_context()
    root = assembly.checkout.path
    found = look(ctx, root)
    wish = _wish(Questions(assembly, options), options, found)
    path, pipeline = PIPELINES[wish.ci]
    text, target = pipeline(wish), root / path
    if options.print:
        sys.stdout.write(text)
    else:
        _write(target, path, text, force=options.force)
        assembly.console.line(f"wrote {path}: {_contents(wish)}", style.GREEN)
    for line in first_steps(wish):
        assembly.console.line(line, style.BOLD if line[:1].isdigit() else "")
    return 0


def _write(target: Path, name: str, text: str, *, force: bool) -> None:
    if target.exists() and not force:
        hint = "`--print` shows what it would be, `--force` replaces it."
        raise UsageError(f"{name} exists already, and was not touched: {hint}")
    target.parent.mkdir(parents=True, exist_ok=True)
    files.write(target, text.encode())


def _contents(wish: Wish) -> str:
    parts = [f"deploy to {' and '.join(wish.environments)}", "plan for changes", "rollback"]
    return ", ".join([*parts, "review apps"] if wish.review else parts)


class Questions:
    """Asks on a terminal what no option says; with --yes what was found is the answer."""

    def __init__(self, assembly: Assembly, options: argparse.Namespace) -> None:
        self._console = assembly.console
        self._silent = options.yes
        self._options = options

    def ask(self, name: str, question: str, default: str, check: Callable[[str], str]) -> str:
        """The answer, checked. Raises UsageError where nobody can be asked."""
        given = getattr(self._options, name)
        if given is None and self._silent and default:
            given = default
        if given is not None:
            try:
                return check(str(given))
            except ValueError as error:
                raise UsageError(f"--{name}: {error}") from None
        if self._silent or not sys.stdin.isatty():
            more = "" if self._silent else ", or run it on a terminal (`docker run -it …`)"
            raise UsageError(f"{question} is not known: add --{name}{more}.")
        while True:
            self._console.line(f"{question}{f' [{default}]' if default else ''}:")
            line = sys.stdin.readline()
            if not line:
                raise UsageError(f"{question} was not answered; nothing was written.")
            try:
                return check(line.strip() or default)
            except ValueError as error:
                self._console.line(f"  {error}", style.YELLOW)


def _wish(questions: Questions, options: argparse.Namespace, found: Found) -> Wish:
    ci = options.ci or found.ci
    if not ci:
        message = f"neither remote nor files say which CI this is: add --ci {_or(PIPELINES)}."
        raise UsageError(message)
    default, which = found.provider or "dokku", f"Provider ({_or(PROVIDERS)})"
    provider = questions.ask("provider", which, default, _provider)
    host = ""
    if provider != "heroku":
        known = found.host if provider == found.provider else ""
        what = HOSTS[provider]
        host = questions.ask("host", what, known, _host if provider == "dokku" else _docker_host)
    app = questions.ask("app", "App", found.app, _app)
    environments = questions.ask(
        "environments", "Environments, the last one by hand", "production", _environments
    )
    review = (
        questions.ask("review", "A review app for each change", "no", _review(provider)) == "yes"
    )
    migrate = bool(found.framework) and not (found.migrates and provider not in ON_DOCKER)
    return Wish(
        ci=ci,
        provider=provider,
        host=host,
        app=app,
        environments=words(environments),
        review=review,
        branch=found.branch,
        web=found.web,
        framework=found.framework if migrate else "",
        images=found.images if provider in ON_DOCKER else (),
    )


def _or(names: Iterable[str]) -> str:
    return " or ".join(names)


def _provider(text: str) -> str:
    if text not in PROVIDERS:
        message = f"`{text}` is not one of {', '.join(PROVIDERS)}. {suggestion(text, PROVIDERS)}"
        raise ValueError(message.rstrip())
    return text


def _host(text: str) -> str:
    server(text)
    return text


def _docker_host(text: str) -> str:
    if not server(text).user:
        message = f"`{text}` does not say who logs in there: `deploy@{text}`."
        raise ValueError(message)
    return text


def _app(text: str) -> str:
    if not NAME.fullmatch(text):
        message = f"`{text}` is no name of an app: a-z or 0-9 first, then `-`, `.` and `_` too."
        raise ValueError(message)
    return text


def _environments(text: str) -> str:
    found = words(text)
    for name in found:
        if not ENVIRONMENT.fullmatch(name):
            message = f"`{name}` is no name of an environment: a-z first, then a-z, 0-9 and `-`."
            raise ValueError(message)
    if not found or len(set(found)) < len(found):
        message = "name each environment once, like `staging production`."
        raise ValueError(message)
    return " ".join(found)


def _review(provider: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        words = {"y": "yes", "n": "no"}
        wanted = boolean(words.get(text.lower(), text))
        if wanted and provider == "swarm":
            message = "Docker Swarm cannot have review apps."
            raise ValueError(message)
        return "yes" if wanted else "no"

    return check
