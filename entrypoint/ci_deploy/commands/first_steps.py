"""What `init` cannot do: keys, the server, the secrets; as commands to copy, with the pages."""

from __future__ import annotations

import shlex
from urllib.parse import urlsplit

from ci_deploy import __version__
from ci_deploy.commands.pipelines import Wish
from ci_deploy.commands.published import IMAGES
from ci_deploy.net.ssh.server import server

KEY = "a key for this purpose only, outside of the checkout"
BASE64 = "base64 <{key} | tr -d '\\n'"  # one line, on Linux and on macOS


def first_steps(wish: Wish) -> list[str]:
    """Lines; those that begin with a number are headings."""
    steps = [_heroku(wish)] if wish.provider == "heroku" else [_key(wish), _server(wish)]
    steps += [_secrets(wish), _doctor(wish)]
    lines: list[str] = []
    for number, (title, *commands) in enumerate(steps, 1):
        lines += ["", f"{number}. {title}", *(f"     {line}" for line in commands)]
    return [*lines, ""]


def _key_file(wish: Wish) -> str:
    return f"~/.ssh/{wish.app}-deploy"


def _key(wish: Wish) -> list[str]:
    return [f"Make {KEY}:", f"ssh-keygen -t ed25519 -N '' -C ci-deploy -f {_key_file(wish)}"]


def _server(wish: Wish) -> list[str]:
    to = server(wish.host)
    port = f"-p {to.port} " if to.port != 22 else ""
    fingerprint = "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"
    lines = ["Let it in, and note the server's fingerprint (SHA256:…):"]
    if wish.provider == "dokku":
        root = f"ssh {port}root@{to.bracketed}"
        lines += [f"{root} dokku ssh-keys:add ci-deploy <{_key_file(wish)}.pub"]
        lines += [f"{root} dokku apps:create {wish.app_of(name)}" for name in wish.environments]
        return [*lines, f"{root} {fingerprint}"]
    user = f"{to.user}@" if to.user else ""
    target = f"{user}{to.bracketed}"
    lines += [f"ssh-copy-id {port}-i {_key_file(wish)}.pub {target}"]
    if wish.provider == "swarm":
        return [
            *lines,
            f"ssh {port}{target} 'docker compose version && docker node ls && {fingerprint}'",
        ]
    if len(wish.environments) > 1:  # else it is the user's home
        folders = " ".join(wish.app_of(name) for name in wish.environments)
        lines += [f"ssh {port}{target} mkdir -p {folders}"]
    lines += [f"ssh {port}{target} 'docker compose version && {fingerprint}'"]
    return lines


def _heroku(wish: Wish) -> list[str]:
    apps = [f"heroku apps:create {wish.app_of(name)}" for name in wish.environments]
    return ["Make the app, and a token for this purpose only:", *apps,
            "heroku authorizations:create -d ci-deploy"]  # fmt: skip


def _secrets(wish: Wish) -> list[str]:
    return {"gitlab": _gitlab, "github": _github, "circleci": _circleci}[wish.ci](wish)


def _web(wish: Wish, path: str) -> str:
    return f"{wish.web or 'the project'}{path}"


def _gitlab(wish: Wish) -> list[str]:
    """GitLab masks one line of at least eight characters without blanks, and nothing else."""
    title = f"Add the variables: {_web(wish, '/-/settings/ci_cd')} (Variables)"
    rows = ["HEROKU_API_KEY: the token; masked"]
    if wish.provider != "heroku":
        encoded = BASE64.format(key=_key_file(wish))
        rows = [
            "SSH_PRIVATE_KEY: in base64, since GitLab masks no text of several lines; masked",
            f"  {encoded}",
            "SSH_SERVER_HOSTKEYS: the fingerprint; it is no secret",
        ]
    rows += _registry(wish, "registry.gitlab.com")
    rows += ["COMMENT_TOKEN: a project token (Reporter, `api`), for a comment; masked"]
    open_to = "`plan` and `review`" if wish.review else "`plan`"
    return [
        title,
        *rows,
        f"Protected variables do not reach {open_to} in merge requests. Unprotected ones",
        "reach every branch: whoever may push can use them; a second key for those is safer.",
    ]


def _github(wish: Wish) -> list[str]:
    title = f"Add the secrets: {_web(wish, '/settings/secrets/actions')}"
    if wish.provider == "heroku":
        rows = ["secret HEROKU_API_KEY: the token"]
    else:
        rows = [
            f"secret SSH_PRIVATE_KEY: the text of {_key_file(wish)}, all of its lines",
            "variable SSH_SERVER_HOSTKEYS: the fingerprint, under",
            f"  {_web(wish, '/settings/variables/actions')}",
        ]
    rows += _registry(wish, "ghcr.io")
    names = ", ".join(wish.environments)
    return [
        title,
        *rows,
        f"Approvals, and secrets of its own, of each environment ({names}):",
        f"  {_web(wish, '/settings/environments')}",
    ]


def _circleci(wish: Wish) -> list[str]:
    owner = urlsplit(wish.web).path.strip("/").partition("/")[0]
    page = (
        f"https://app.circleci.com/settings/organization/github/{owner or 'ORGANIZATION'}/contexts"
    )
    rows = ["HEROKU_API_KEY: the token"]
    if wish.provider != "heroku":
        rows = [
            "SSH_PRIVATE_KEY: in base64, since a variable there has one line",
            f"  {BASE64.format(key=_key_file(wish))}",
            "SSH_SERVER_HOSTKEYS: the fingerprint",
        ]
    if wish.images:
        rows += ["DOCKER_REGISTRY, DOCKER_USER, DOCKER_PASS: where the images are pushed"]
    return [f"Make the context `{wish.provider}` with these variables: {page}", *rows]


def _registry(wish: Wish, own: str) -> list[str]:
    if wish.images and wish.registry not in {"", own}:
        return [f"DOCKER_USER, DOCKER_PASS: for {wish.registry}"]
    return []


def _doctor(wish: Wish) -> list[str]:
    given = "".join(
        f" -e {shlex.quote(f'{name}={text}')}"
        for name, text in wish.settings(wish.environments[-1]).items()
        if name != "AUTO_MIGRATE_ON_DEPLOY"
    )
    key = "-e HEROKU_API_KEY"
    if wish.provider != "heroku":
        key = f"-v {_key_file(wish)}:/key:ro -e SSH_PRIVATE_KEY_FILE=/key"
        key += " -e SSH_SERVER_HOSTKEYS='SHA256:…'"
    return [
        "Check all of it before the first push; it changes nothing:",
        f'docker run --rm -v "$PWD:/w" -w /w {key}{given} \\',
        f"  {IMAGES}/{wish.provider}:{__version__} ci-deploy doctor",
    ]
