"""The command `init`: writes the pipeline file for a checkout, and lists the steps that remain."""

from __future__ import annotations

import argparse
import posixpath
import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from ci_deploy import files
from ci_deploy.commands.assembly import Assembly
from ci_deploy.commands.doctor import doctor
from ci_deploy.commands.findings import findings
from ci_deploy.commands.first_steps import first_steps
from ci_deploy.commands.pipelines import ON_DOCKER, PIPELINES, Wish, path_of
from ci_deploy.commands.place import ask_place
from ci_deploy.commands.questions import Questions
from ci_deploy.commands.shared import answer
from ci_deploy.commands.surroundings import Found, look
from ci_deploy.errors import DeployError, Problem, SettingsError, UsageError
from ci_deploy.layers.providers.heroku import settings as heroku
from ci_deploy.net.ssh.server import server
from ci_deploy.report import console as style
from ci_deploy.settings.parsers import boolean, suggestion, words

PROVIDERS = ("dokku", "heroku", "compose", "swarm")
HOSTS = {
    "dokku": "Dokku server",
    "compose": "Docker host, or several (user@host)",
    "swarm": "Manager of the swarm (user@host)",
}
# The credentials that `doctor` needs: for Heroku, and for the other providers.
CREDENTIALS = (("HEROKU_API_KEY",), ("SSH_PRIVATE_KEY", "SSH_SERVER_HOSTKEYS"))
NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
ENVIRONMENT = re.compile(r"[a-z][a-z0-9-]*")


def init(assembly: Assembly, options: argparse.Namespace) -> int:
    """Detect what the checkout shows, ask for the rest, and write the pipeline file, or print it
    with --print; then log the next steps, and run `doctor` if the credentials are set. Returns 0.
    Raises SettingsError for compose files that cannot be read, UsageError, OSError."""
    ctx = assembly.bare_context()
    root = assembly.checkout.path
    questions = Questions(assembly, options)
    here = _here(root)
    provider = _ask_provider(questions, look(ctx, root, here))
    place = ask_place(questions, root, here, provider)
    found = look(ctx, root, place.folder, place.compose)
    if found.composed.unread and provider in ON_DOCKER:
        raise SettingsError(Problem("COMPOSE_FILE", found.composed.unread))
    wish = _wish(questions, found, provider, place.folder)
    questions.check()
    path, text = path_of(wish), PIPELINES[wish.ci][1](wish)
    for line, is_warning in findings(found, wish, path, text):
        assembly.console.line(line, style.YELLOW if is_warning else "")
    if options.print:
        answer(text)
    else:
        _write(root / path, path, text, force=options.force)
        assembly.console.line(f"wrote {path}: {_contents(wish)}", style.GREEN)
    for line in first_steps(wish):
        assembly.console.line(line, style.BOLD if line[:1].isdigit() else "")
    if not options.print and all(map(assembly.source.text, CREDENTIALS[wish.provider != "heroku"])):
        _look_there(assembly, options, wish)
    return 0


def _look_there(assembly: Assembly, options: argparse.Namespace, wish: Wish) -> None:
    """Run `doctor` with the settings of the file. A failed check is a warning, not an error."""
    known = {**assembly.environ, **wish.settings(wish.environments[-1])}
    again = Assembly(
        known,
        assembly.ci,
        assembly.console,
        assembly.redactor,
        assembly.cancellation,
        assembly.cleanup,
    )
    try:
        doctor(again, options)
    except DeployError as error:
        assembly.console.warning(f"doctor: {error}")


def _here(root: Path) -> str:
    """The current directory, relative to the repository; empty at its top."""
    here = Path.cwd().resolve()
    return here.relative_to(root.resolve()).as_posix() if root.resolve() in here.parents else ""


def _write(target: Path, name: str, text: str, *, force: bool) -> None:
    if target.exists() and not force:
        hint = (
            "`--force` replaces it, `--print` shows the new content (to add an app, copy its jobs "
            "and give them other names)."
        )
        raise UsageError(f"{name} exists already, and was not changed: {hint}")
    target.parent.mkdir(parents=True, exist_ok=True)
    files.write(target, text.encode())


def _contents(wish: Wish) -> str:
    parts = [f"deploy to {' and '.join(wish.environments)}", "plan for changes", "rollback"]
    return ", ".join([*parts, "review apps"] if wish.review else parts)


def _ask_provider(questions: Questions, found: Found) -> str:
    which = f"Provider ({_or(PROVIDERS)})"
    usual = "dokku" if questions.on_terminal else ""
    return questions.ask("provider", which, found.provider or usual, _provider)


def _wish(questions: Questions, found: Found, provider: str, where: str) -> Wish:
    ci = questions.given("ci") or found.ci
    if not ci:
        message = (
            "neither the git remote nor the files show which CI platform to write for: add --ci "
            f"{_or(PIPELINES)} (Gitea and Forgejo: github)."
        )
        raise UsageError(message)
    on_docker = provider in ON_DOCKER
    host = ""
    if provider != "heroku":
        known = found.host if provider == found.provider else ""
        what = HOSTS.get(provider, "Server (not for Heroku)")
        check = _docker_hosts if on_docker else _host if provider else str
        host = questions.ask("host", what, known, check)
    # Five questions at most: the name follows from the directory if that was asked for.
    infer = bool(questions.asked & {"folder", "compose"})
    app = questions.ask("app", "Name of the app", found.app, partial(_app, provider), infer=infer)
    if infer and not questions.given("app"):
        questions.tell(f"The app is called {app}; `--app` gives it another name.")
    environments = questions.ask(
        "environments",
        "Environments (of several, the last one is deployed manually or by a tag)",
        "production",
        _environments,
    )
    review = questions.ask("review", "A review app for each change", "no", _review) == "yes"
    framework = found.to_migrate(on_docker=on_docker)
    place = posixpath.join(where, found.framework.at).rstrip("/")
    service, context = found.composed.service_of(place) if on_docker and framework else ("", "")
    return Wish(
        ci=ci,
        provider=provider,
        host=host,
        app=app,
        environments=words(environments),
        review=review,
        branch=found.branch,
        web=found.web,
        framework=framework,
        folder=where,
        named=bool(framework and found.framework.at),
        manage=found.manage_in(context, place) if framework == "django" else "",
        images=found.composed.images if on_docker else (),
        compose=found.composed.files if on_docker else (),
        run_service="" if service == "app" else service,
        services=found.services if provider == "dokku" else (),
        workflows=found.workflows,
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
    """Check one or several hosts, each with a user. Raises ValueError."""
    for each in words(text):
        if not server(each).user:
            message = f"`{each}` has no user: write it like `deploy@{each}`."
            raise ValueError(message)
    return " ".join(words(text))


def _app(provider: str, text: str) -> str:
    if provider == "heroku" and not re.fullmatch(heroku.NAME, text):
        message = f"`{text}` is not a valid name of a Heroku app: {heroku.NAMES}."
        raise ValueError(message)
    if not NAME.fullmatch(text):
        message = f"`{text}` is not a valid app name: a-z or 0-9 first, then also `-`, `.` and `_`."
        raise ValueError(message)
    return text


def _environments(text: str) -> str:
    found = words(text)
    for name in found:
        if not ENVIRONMENT.fullmatch(name):
            message = f"`{name}` is not a valid environment name: a-z first, then a-z, 0-9 and `-`."
            raise ValueError(message)
    if not found or len(set(found)) < len(found):
        message = "give each environment once, like `staging production`."
        raise ValueError(message)
    return " ".join(found)


def _review(text: str) -> str:
    words = {"y": "yes", "n": "no"}
    return "yes" if boolean(words.get(text.lower(), text)) else "no"
