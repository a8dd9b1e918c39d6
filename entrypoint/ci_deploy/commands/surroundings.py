"""Detects facts in the checkout for `init` (`look`): CI, provider, framework, images, remotes."""

from __future__ import annotations

import contextlib
import posixpath
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from ci_deploy.ci.origin import SAFE, configured
from ci_deploy.commands import layout
from ci_deploy.commands.composed import Composed, composed
from ci_deploy.commands.pipelines.common import WORKFLOWS
from ci_deploy.run.context import Context
from ci_deploy.settings.lines import from_json

REMOTE = re.compile(r"(?:\w+://)?(?:[^@/]+@)?([\w.-]+)(?::(\d+))?[:/](.+?)(?:\.git)?/?")
MAIN = ("main", "master")
# Forgejo and Gitea look into the first of these that exists.
ELSEWHERE = (".forgejo/workflows", ".gitea/workflows")
PIPELINES = (
    *(".github/workflows/*.yml", ".github/workflows/*.yaml", ".gitea/workflows/*.yml"),
    *(".forgejo/workflows/*.yml", ".gitlab-ci.yml", ".circleci/config.yml", ".travis.yml"),
    *(".woodpecker.yml", ".woodpecker/*.yml", "Jenkinsfile"),
)
# Where other tools' pipelines push: an app on Dokku, and one on Heroku.
DOKKU = re.compile(r"(?:ssh://)?dokku@\w[\w.-]*(?::\d+/|[:/])(?!\d+(?![\w.-]))\w[\w.-]*")
HEROKU = re.compile(
    r"(?:git\.heroku\.com[/:]|heroku[_-]app[_-]name: *[\"']?|--provider=heroku\b.*--app[= ])"
    r"([a-z][a-z0-9-]+[a-z0-9])(?![\w$-])"
)
IMAGES = re.compile(r"container:(push|release)|registry\.heroku\.com|usedocker: *[\"']?true")
# A call of manage.py in a Procfile, Dockerfile or compose file.
MANAGE = re.compile(
    r"((?:(?:poetry|pipenv|uv|pdm) run )?python3?(?: -\w+)*) ([\w./-]*manage\.py)\b"
)
DJANGO = re.compile(r"(?im)^[\s\"']*django\b(?!-)")
# Services that the app's libraries use, by the names of Dokku's plugins.
LIBRARIES = {
    "postgres": r"\bpg\b|psycopg|asyncpg|\bpgx\b|lib/pq|postgrex",
    "mysql": r"\bmysql2\b|mysqlclient|pymysql|go-sql-driver/mysql",
    "redis": r"redis|sidekiq|celery|bullmq",
}
LISTS = (
    *("Gemfile", "requirements*.txt", "requirements/*.txt", "pyproject.toml", "Pipfile"),
    *("setup.cfg", "package.json", "composer.json", "go.mod", "mix.exs"),
)
LOCKS = ("poetry.lock", "uv.lock", "pdm.lock", "pylock.toml")  # with a `[[package]]` per package
PACKAGE = re.compile(r'^\[\[packages?\]\]\n(?:.+\n)*?name = "([^"]+)"\n((?:.+\n)*)', re.M)
# How Poetry and PDM mark packages that are not for production.
OTHER_GROUPS = re.compile(r'^category = "dev"|^groups = \[(?!.*"(?:main|default)")', re.M)


class Found(NamedTuple):
    """The facts about one app that `look` has detected in the checkout. Unknown texts are empty."""

    ci: str = ""  # `gitlab`, `github` or `circleci`
    web: str = ""  # the project's page: https://github.com/acme/web
    branch: str = "main"  # the default branch
    provider: str = ""
    host: str = ""  # as for --host
    app: str = ""  # a name for the app
    framework: layout.Framework = layout.Framework()
    called: str = ""  # the call of manage.py in a Procfile, Dockerfile or compose file
    lacks_manage: bool = False  # Django is in the list of packages, but there is no manage.py
    says_what_runs: bool = False  # a Procfile or Dockerfile
    migrates: bool = False  # the Procfile has a release task, which may migrate
    composed: Composed = Composed()
    services: tuple[str, ...] = ()  # services that its libraries need: postgres, redis
    workflows: str = WORKFLOWS

    def to_migrate(self, *, on_docker: bool) -> str:
        """The framework whose migrations ci-deploy has to run; empty for none, and on Dokku and
        Heroku also if the Procfile has a release task, or for Rails in a sub-directory.
        (`bin/rails` works only in the app's directory, which can be the working directory of an
        image.)"""
        if self.framework.name == "rails" and self.framework.at and not on_docker:
            return ""
        return "" if self.migrates and not on_docker else self.framework.name

    def manage_in(self, context: str, place: str) -> str:
        """The value of DJANGO_MANAGE_COMMAND: the call in the app's own files, else one whose path
        is relative to `context`, the build context of the image (empty: to the app's directory).
        `place`: the directory of manage.py. `context` and `place` are relative to the repository's
        root. Empty if it is the default, `python manage.py`."""
        path = posixpath.join(self.framework.at, "manage.py")
        if context:
            path = posixpath.relpath(posixpath.join(place, "manage.py"), context)
        command = self.called or f"python {path}"
        return "" if command == "python manage.py" else command


def look(ctx: Context, top: Path, folder: str = "", files: str = "") -> Found:
    """Detect facts about the app in `folder` of the checkout `top`. `files`: the compose files that
    the user has chosen, separated by spaces, relative to `folder`. Changes nothing, and does not
    use the network. Raises OSError for a file that cannot be read."""
    root = top / folder
    remotes = _remotes(ctx, top)
    host, _, path = _parts(remotes.get("origin", ""))
    listed = layout.files(root)
    compose = composed(top, folder, listed, files.split())
    has_compose = bool(compose.files or compose.rivals)
    provider, server, app = _provider([*remotes.values(), *_pushed(top)], has_compose=has_compose)
    found = layout.framework(root)
    procfile = _text(root / "Procfile")
    return Found(
        ci=_ci(top, host),
        web=f"https://{host}/{path}" if path else "",
        branch=_branch(ctx, top),
        provider=provider,
        host=server,
        app=app or _slug(f"{path.rpartition('/')[2] or top.name} {Path(folder).name}"),
        framework=found,
        called=_called(root, compose.files) if found.name == "django" else "",
        lacks_manage=not (found.name or found.rivals) and bool(DJANGO.search(_packages(root))),
        says_what_runs=any((root / name).is_file() for name in ("Procfile", "Dockerfile")),
        migrates="release:" in procfile,
        composed=compose,
        services=_services(root),
        workflows=_workflows(top, host),
    )


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.is_file() else ""


def _called(root: Path, compose: Iterable[str]) -> str:
    """The first call of manage.py in Procfile, Dockerfile or compose file; empty for none."""
    texts = (_text(root / name) for name in ("Procfile", "Dockerfile", *compose))
    return next((match[0] for text in texts if (match := MANAGE.search(text))), "")


def _git(ctx: Context, root: Path, *arguments: str) -> str:
    env = configured({**SAFE, "safe.directory": str(root.resolve())})
    return ctx.runner.read(["git", "-C", str(root), *arguments], env=env, ok=None).text


def _remotes(ctx: Context, root: Path) -> dict[str, str]:
    """The remotes' URLs as configured: `git remote` would rewrite them by `insteadOf`."""
    listed = _git(ctx, root, "config", "--get-regexp", r"^remote\..*\.url$")
    pairs = (line.partition(" ") for line in listed.splitlines())
    return {key.removeprefix("remote.").removesuffix(".url"): url for key, _, url in pairs}


def _parts(url: str) -> tuple[str, str, str]:
    """Host, port, path: `ssh://git@github.com:22/acme/web.git` → `github.com`, `22`, `acme/web`."""
    match = REMOTE.fullmatch(url)
    return (match[1].lower(), match[2] or "", match[3]) if match else ("", "", "")


def _services(root: Path) -> tuple[str, ...]:
    text = _packages(root)
    return tuple(name for name, pattern in LIBRARIES.items() if re.search(pattern, text))


def _packages(root: Path) -> str:
    """The text of the lists of packages, and the packages of lock files."""
    files = sorted({path for name in LISTS for path in root.glob(name)})
    return "\n".join([*map(_text, files), *_locked(root)])


def _locked(root: Path) -> Iterator[str]:
    """The packages named in lock files. (The full text also names what packages could use.)"""
    for name in LOCKS:
        for package, about in PACKAGE.findall(_text(root / name).replace("\r\n", "\n")):
            if not OTHER_GROUPS.search(about):
                yield package
    path = root / "Pipfile.lock"
    with contextlib.suppress(ValueError, OSError, AttributeError):
        yield from from_json(path.read_bytes()).get("default", {}) if path.is_file() else ()


def _ci(root: Path, host: str) -> str:
    """The CI: CircleCI by its folder, else by the origin's host name, else by files."""
    if (root / ".circleci").is_dir():
        return "circleci"
    for name in ("github", "gitlab"):
        if name in host:
            return name
    if (root / ".gitlab-ci.yml").is_file():
        return "gitlab"
    return "github" if (root / _workflows(root, host)).is_dir() else ""


def _workflows(root: Path, host: str) -> str:
    own = (each for each in ELSEWHERE if (root / each).is_dir() and "github" not in host)
    return next(own, WORKFLOWS)


def _pushed(root: Path) -> list[str]:
    """The URL to which the pipeline of another tool pushes; empty if there are several, of which
    nobody can tell which one is meant."""
    texts = [_text(path) for name in PIPELINES for path in sorted(root.glob(name))]
    urls = [url.removesuffix(".git") for text in texts for url in DOKKU.findall(text)]
    if not any(map(IMAGES.search, texts)):  # those apps cannot be deployed
        urls += [f"https://git.heroku.com/{app}" for text in texts for app in HEROKU.findall(text)]
    return urls[:1] if len({_parts(url) for url in urls}) == 1 else []


def _provider(urls: Iterable[str], *, has_compose: bool) -> tuple[str, str, str]:
    """The provider, its host and the app, by what was pushed to; else Compose if there is a compose
    file."""
    for url in urls:
        host, port, path = _parts(url)
        if re.search(r"(^|/)dokku@", url):
            return "dokku", f"dokku@{host}{f':{port}' if port else ''}", path
        if host in {"heroku.com", "git.heroku.com"}:
            return "heroku", "", path
    return ("compose" if has_compose else ""), "", ""


def _branch(ctx: Context, root: Path) -> str:
    head = _git(ctx, root, "symbolic-ref", "--short", "refs/remotes/origin/HEAD").strip()
    here = _git(ctx, root, "symbolic-ref", "--short", "HEAD").strip()
    return head.removeprefix("origin/") or (here if here in MAIN else MAIN[0])


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "my-project"
