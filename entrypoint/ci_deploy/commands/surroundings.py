"""Detects facts in the checkout for `init`: CI, provider, framework, images, remotes."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from ci_deploy.ci.origin import SAFE, configured
from ci_deploy.layers.applications.django import Django
from ci_deploy.layers.applications.rails import Rails
from ci_deploy.layers.providers.docker.settings import DEFAULT_FILES
from ci_deploy.run.context import Context
from ci_deploy.settings.lines import from_json

REMOTE = re.compile(r"(?:\w+://)?(?:[^@/]+@)?([\w.-]+)(?::(\d+))?[:/](.+?)(?:\.git)?/?")
IMAGE = re.compile(r"^\s*image:\s*[\"']?(\S+?):\$\{?DEPLOY_TAG", re.M)
MAIN = ("main", "master")
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
    """The detected facts. Unknown texts are empty."""

    ci: str = ""
    web: str = ""  # the project's page: https://github.com/acme/web
    branch: str = "main"  # the default one
    provider: str = ""
    host: str = ""
    app: str = ""
    framework: str = ""
    migrates: bool = False  # the Procfile has a release task, which may migrate
    images: tuple[str, ...] = ()  # images of the compose file with the tag DEPLOY_TAG
    compose: str = ""  # the compose file's name
    services: tuple[str, ...] = ()  # services that its libraries need: postgres, redis


def look(ctx: Context, root: Path, folder: str = "") -> Found:
    """The facts in the checkout at `root`, about the app in its `folder`. Nothing is changed, and
    the network is not used."""
    top, root = root, root / folder
    remotes = _remotes(ctx, top)
    host, _, path = _parts(remotes.get("origin", ""))
    compose = next((root / name for name in DEFAULT_FILES if (root / name).is_file()), None)
    text = compose.read_text(errors="replace") if compose else ""
    provider, server, app = _provider(remotes, has_compose=bool(compose))
    procfile = root / "Procfile"
    layers = [cls.name for cls in (Rails, Django) if cls.detected(root)]
    return Found(
        ci=_ci(top, host),
        web=f"https://{host}/{path}" if path else "",
        branch=_branch(ctx, top),
        provider=provider,
        host=server,
        app=app or _slug(f"{path.rpartition('/')[2] or top.name} {Path(folder).name}"),
        framework=next(iter(layers), ""),
        migrates=procfile.is_file() and "release:" in procfile.read_text(errors="replace"),
        images=tuple(dict.fromkeys(IMAGE.findall(text))),
        compose=compose.name if compose else "",
        services=_services(root),
    )


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
    files = sorted({path for name in LISTS for path in root.glob(name)})
    texts = [each.read_text(errors="replace") for each in files if each.is_file()]
    text = "\n".join([*texts, *_locked(root)])
    return tuple(name for name, pattern in LIBRARIES.items() if re.search(pattern, text))


def _locked(root: Path) -> Iterator[str]:
    """The packages named in lock files. (The full text also names what packages could use.)"""
    for name in LOCKS:
        path = root / name
        text = path.read_text(errors="replace") if path.is_file() else ""
        for package, about in PACKAGE.findall(text.replace("\r\n", "\n")):
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
    return "github" if (root / ".github/workflows").is_dir() else ""


def _provider(remotes: Mapping[str, str], *, has_compose: bool) -> tuple[str, str, str]:
    """The provider, its host and the app, by the remotes; else Compose if there is a compose
    file."""
    for url in remotes.values():
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
