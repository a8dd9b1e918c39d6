"""The lines in which `init` reports what it has detected, and what it could not decide."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from ci_deploy.commands.pipelines import ON_DOCKER, Wish
from ci_deploy.commands.surroundings import Found


def findings(found: Found, wish: Wish, path: str, text: str) -> Iterator[tuple[str, bool]]:
    """Yield (line, whether it is a warning): first what was detected, then what needs a person.
    `found` is what was detected, `wish` what the pipeline is to do, `text` the pipeline file at
    `path`, whose lines some warnings name."""
    parts = [*_app(found, wish), *_compose(wish)]
    yield f"found: {', '.join(parts) or 'no framework, no compose file'}", False
    yield from ((line, True) for line in _doubts(found, wish))
    if wish.provider in ON_DOCKER:
        yield from ((line, True) for line in _builds(found, path, text))


def _app(found: Found, wish: Wish) -> Iterator[str]:
    name, at = found.framework.name, found.framework.at
    if wish.folder:
        yield f"the app in {wish.folder}"
    if name:
        file = "manage.py" if name == "django" else "config/application.rb"
        yield f"{name.capitalize()} ({posixpath.join(at, file)})"
    if found.migrates:
        yield "a Procfile with a release task"
    if wish.services:
        yield f"packages that need {' and '.join(wish.services)}"


def _compose(wish: Wish) -> Iterator[str]:
    if wish.compose:
        yield f"compose file {' and '.join(wish.compose)}"
    for image in wish.images:
        where = image.context or wish.folder or "the repository's root"
        yield f"image {image.name} (built from {where})"


def _doubts(found: Found, wish: Wish) -> Iterator[str]:
    framework, on_docker = found.framework, wish.provider in ON_DOCKER
    if framework.rivals:
        yield (
            f"Migrations will not run: the app could be {' or '.join(framework.rivals)}. "
            "Name its directory with `--folder`."
        )
    if found.lacks_manage:
        yield (
            "Migrations will not run: Django is among the packages, but there is no manage.py. "
            "If the app has models, set DEPLOY_APPLICATION=django and DJANGO_MANAGE_COMMAND."
        )
    if framework.name == "rails" and framework.at and not on_docker:
        deployed = wish.folder or "the repository's root"
        place = posixpath.join(wish.folder, framework.at)
        yield (
            f"Migrations will not run: {deployed} is deployed, but Rails is in {place}. "
            f"`--folder {place}` deploys that directory instead."
        )
    if (framework.name == "django" or found.lacks_manage) and not (
        on_docker or found.says_what_runs
    ):
        yield "Nothing says which process to run: add a Procfile, like `web: gunicorn mysite.wsgi`."
    if wish.manage:
        yield f"Migrations call `{wish.manage} migrate` in the release (DJANGO_MANAGE_COMMAND)."
    if wish.run_service:
        yield f"Migrations run in the service {wish.run_service} (COMPOSE_RUN_SERVICE)."


def _builds(found: Found, path: str, text: str) -> Iterator[str]:
    """What the pipeline may build otherwise than Compose, with the lines to check."""
    for doubt in found.composed.doubts:
        if not doubt.image:
            yield f"{doubt.service}: {doubt.reason}." if doubt.service else doubt.reason
            continue
        build = re.compile(rf"docker build .*/?{re.escape(doubt.image.ending)}\\?\"")
        lines = [str(at) for at, line in enumerate(text.splitlines(), 1) if build.search(line)]
        which = f"line{'s' if lines[1:] else ''} {' and '.join(lines)} of {path}"
        does = "build" if lines[1:] else "builds"
        yield f"Check how {which} {does} the image of {doubt.service}: {doubt.reason}."
