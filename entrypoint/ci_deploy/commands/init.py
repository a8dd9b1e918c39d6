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
from ci_deploy.commands.shared import answer
from ci_deploy.commands.surroundings import Found, look
from ci_deploy.errors import UsageError
from ci_deploy.net.ssh.server import server
from ci_deploy.report import console as style
from ci_deploy.settings.parsers import boolean, suggestion, words

PROVIDERS = ("dokku", "heroku", "compose", "swarm")
HOSTS = {
    "dokku": "Dokku server",
    "compose": "Docker host, or several (user@host)",
    "swarm": "Manager of the swarm (user@host)",
}
NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
ENVIRONMENT = re.compile(r"[a-z][a-z0-9-]*")


def init(assembly: Assembly, options: argparse.Namespace) -> int:
    """Ask what cannot be seen, write the file, say the rest. Raises UsageError."""
    ctx = assembly.bare_context()
    root = assembly.checkout.path
    folder = _folder(root)
    found = look(ctx, root, folder)
    questions = Questions(assembly, options)
    wish = _wish(questions, options, found)._replace(folder=folder)
    questions.check()
    path, pipeline = PIPELINES[wish.ci]
    text, target = pipeline(wish), root / path
    if options.print:
        answer(text)
    else:
        _write(target, path, text, force=options.force)
        assembly.console.line(f"wrote {path}: {_contents(wish)}", style.GREEN)
    for line in first_steps(wish):
        assembly.console.line(line, style.BOLD if line[:1].isdigit() else "")
    return 0


def _folder(root: Path) -> str:
    """Where in the repository we were started: that is the app's directory."""
    here = Path.cwd().resolve()
    return here.relative_to(root.resolve()).as_posix() if root.resolve() in here.parents else ""


def _write(target: Path, name: str, text: str, *, force: bool) -> None:
    if target.exists() and not force:
        hint = (
            "`--print` shows what it would be (for one more app, take its jobs from there, under "
            "names of their own), `--force` replaces it."
        )
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
        self._unknown: dict[str, str] = {}  # option → question

    def check(self) -> None:
        """Say at once what no option and no file tells. Raises UsageError."""
        if not self._unknown:
            return
        which, options = " and ".join(self._unknown.values()), ", ".join(self._unknown)
        verb = "are" if len(self._unknown) > 1 else "is"
        more = "" if self._silent else ", or run it on a terminal (`docker run -it …`)"
        raise UsageError(f"{which} {verb} not known: add {options}{more}.")

    @property
    def on_terminal(self) -> bool:
        """Whether somebody can be asked."""
        return not self._silent and sys.stdin.isatty()

    def ask(self, name: str, question: str, default: str, check: Callable[[str], str]) -> str:
        """The answer, checked. Raises UsageError where nobody can be asked."""
        given = getattr(self._options, name)
        if given is None and self._silent and default:
            given = default
        if given is not None:
            try:
                return check(str(given))
            except ValueError as error:
                raise UsageError(f"--{name}: {str(error).replace('APP_NAME', '--app')}") from None
        if not self.on_terminal:
            self._unknown |= {} if default else {f"--{name}": question}
            return default
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
        message = f"neither remote nor files say which CI this is: add --ci {_or(PIPELINES)}"
        message += " (Gitea and Forgejo: github)."
        raise UsageError(message)
    which = f"Provider ({_or(PROVIDERS)})"
    usual = "dokku" if questions.on_terminal else ""
    provider = questions.ask("provider", which, found.provider or usual, _provider)
    host = ""
    if provider != "heroku":
        known = found.host if provider == found.provider else ""
        what = HOSTS.get(provider, "Server")
        check = _docker_hosts if provider in ON_DOCKER else _host if provider else str
        host = questions.ask("host", what, known, check)
    app = questions.ask("app", "App", found.app, _app)
    environments = questions.ask(
        "environments", "Environments, the last one by hand", "production", _environments
    )
    review = questions.ask("review", "A review app for each change", "no", _review) == "yes"
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
        compose=found.compose if provider in ON_DOCKER else "",
        services=found.services if provider == "dokku" else (),
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


def _docker_hosts(text: str) -> str:
    """One or several."""
    for each in words(text):
        if not server(each).user:
            message = f"`{each}` does not say who logs in there: `deploy@{each}`."
            raise ValueError(message)
    return " ".join(words(text))


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


def _review(text: str) -> str:
    words = {"y": "yes", "n": "no"}
    return "yes" if boolean(words.get(text.lower(), text)) else "no"
