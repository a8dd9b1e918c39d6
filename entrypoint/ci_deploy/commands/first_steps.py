"""The steps that `init` leaves to the user (keys, the server, secrets), as commands to copy and
links."""

from __future__ import annotations

import shlex
from urllib.parse import urlsplit

from ci_deploy import __version__
from ci_deploy.commands.pipelines import ON_DOCKER, Wish, path_of
from ci_deploy.commands.pipelines.common import DOCS, WORKFLOWS
from ci_deploy.commands.published import IMAGES
from ci_deploy.layers.providers.dokku.settings import service_name
from ci_deploy.net.ssh.server import server

KEY = "a key for this purpose only, outside the checkout"
FINGERPRINT = "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"
GITEAS = ("gitea", "forgejo", "codeberg")  # parts of their hosts' names
# The organizations of CircleCI whose pages have the owner's name; others have an ID.
CIRCLECI = {"github.com": "github", "bitbucket.org": "bitbucket"}
BASE64 = "base64 <{key} | tr -d '\\n'"  # one line, on Linux and on macOS


def first_steps(wish: Wish) -> list[str]:
    """The lines to print after the file of `wish` was written; those that begin with a number are
    headings."""
    steps = [_heroku(wish)] if wish.provider == "heroku" else [_key(wish), _server(wish)]
    if wish.provider in ON_DOCKER and not wish.images:
        steps = [_image(wish), *steps]
    steps += [_secrets(wish), _doctor(wish), _push(wish)]
    lines: list[str] = []
    for number, (title, *commands) in enumerate(steps, 1):
        lines += ["", f"{number}. {title}", *(f"     {line}" for line in commands)]
    return [*lines, ""]


def _key_file(wish: Wish) -> str:
    return f"~/.ssh/{wish.app}-deploy"


def _key(wish: Wish) -> list[str]:
    return [f"Make {KEY}:", f"ssh-keygen -t ed25519 -N '' -C ci-deploy -f {_key_file(wish)}"]


def _image(wish: Wish) -> list[str]:
    """Nothing is built on the hosts."""
    path = urlsplit(wish.web).path.strip("/").lower() or wish.app
    return [
        f"Name the app's image in {' or '.join(wish.compose) or 'docker-compose.yml'}:",
        f"image: ${{DOCKER_REGISTRY}}/{path}:${{DEPLOY_TAG}}",
        "The hosts only pull it. Then run the same `ci-deploy init` again, with --force: it adds",
        "a job to the pipeline that builds and pushes the image.",
    ]


def _server(wish: Wish) -> list[str]:
    of = "server's fingerprint" if len(wish.hosts) == 1 else "servers' fingerprints"
    lines = [f"Authorize the key, and note the {of} (SHA256:…):"]
    for host in wish.hosts:
        lines += _dokku(wish, host) if wish.provider == "dokku" else _docker(wish, host)
    return lines


def _dokku(wish: Wish, host: str) -> list[str]:
    to = server(host)
    root = to._replace(user="root").login
    apps = [wish.app_of(name) for name in wish.environments]
    lines = [f"{root} dokku ssh-keys:add ci-deploy <{_key_file(wish)}.pub"]
    lines += [f"{root} dokku apps:create {app}" for app in apps]
    for kind in wish.services:
        url = f"https://github.com/dokku/dokku-{kind}.git"
        lines += [f"{root} dokku plugin:install {url}  # unless installed"]
        for app in apps:
            name = service_name(app, kind)
            lines += [
                f"{root} dokku {kind}:create {name}",
                f"{root} dokku {kind}:link {name} {app}",
            ]
    if wish.services:
        lines += ["(linking sets their URLs, like DATABASE_URL; what else the app needs, like its"]
        lines += ["secret key, is set with `dokku config:set`, or by APP_CONFIG)"]
    return [*lines, f"{root} {FINGERPRINT}"]


def _docker(wish: Wish, host: str) -> list[str]:
    to = server(host)
    port = f"-p {to.port} " if to.port != 22 else ""
    look = f"docker compose version && {FINGERPRINT}"
    if wish.provider == "swarm":
        look = f"docker compose version && docker node ls && {FINGERPRINT}"
    elif len(wish.environments) > 1:  # else it is the user's home
        look = f"mkdir -p {' '.join(map(wish.app_of, wish.environments))} && {look}"
    return [
        f"ssh-copy-id {port}-i {_key_file(wish)}.pub {to.user}@{to.host}",
        f"{to.login} '{look}'",
    ]


def _pins(wish: Wish) -> str:
    return (
        "the fingerprint"
        if len(wish.hosts) == 1
        else "the fingerprints of all hosts, separated by spaces"
    )


def _heroku(wish: Wish) -> list[str]:
    apps = [f"heroku apps:create {wish.app_of(name)}" for name in wish.environments]
    title = f"Make the app{'s' if apps[1:] else ''}, and a token for this purpose only:"
    return [title, *apps,
            "heroku authorizations:create -d ci-deploy"]  # fmt: skip


def _secrets(wish: Wish) -> list[str]:
    return {"gitlab": _gitlab, "github": _github, "circleci": _circleci}[wish.ci](wish)


def _web(wish: Wish, path: str) -> str:
    return f"{wish.web or 'the project'}{path}"


def _gitlab(wish: Wish) -> list[str]:
    """GitLab masks one line of at least eight characters without spaces, and nothing else."""
    title = f"Add the variables: {_web(wish, '/-/settings/ci_cd')} (Variables)"
    rows = ["HEROKU_API_KEY: the token; masked"]
    if wish.provider != "heroku":
        encoded = BASE64.format(key=_key_file(wish))
        rows = [
            "SSH_PRIVATE_KEY: in base64, since GitLab masks single lines only; masked",
            f"  {encoded}",
            f"SSH_SERVER_HOSTKEYS: {_pins(wish)}; not a secret",
        ]
    if wish.foreign:
        rows += [f"DOCKER_USER, DOCKER_PASS: for {wish.foreign}; DOCKER_PASS masked, and without"]
        rows += ["  `Expand variable reference`, or a `$` in it is lost"]
    open_to = "`plan` and `review`" if wish.review else "`plan`"
    secret = "token" if wish.provider == "heroku" else "key"
    return [
        title,
        *rows,
        *_comment_token(wish),
        f"Protected variables are not available to {open_to} in merge requests. Unprotected",
        "ones are, in every branch: whoever may push can use them. To be safe, give these jobs",
        f"a second {secret}: {DOCS}/gitlab.md#a-second-key-for-merge-requests",
    ]


def _comment_token(wish: Wish) -> list[str]:
    rows = [
        "COMMENT_TOKEN, if you want the plan as a comment: a project access token with the role",
        f"  Reporter and the scope `api`; masked: {_web(wish, '/-/settings/access_tokens')}",
    ]
    if urlsplit(wish.web).hostname == "gitlab.com":
        page = "https://gitlab.com/-/user_settings/personal_access_tokens"
        rows += [f"  (GitLab.com Free has none; a personal access token works too: {page})"]
    return rows


def _github(wish: Wish) -> list[str]:
    host = urlsplit(wish.web).hostname or ""
    own = wish.workflows != WORKFLOWS or any(each in host for each in GITEAS)
    secrets, variables = "/settings/secrets/actions", "/settings/variables/actions"
    if own:
        secrets, variables = "/settings/actions/secrets", "/settings/actions/variables"
    title = f"Add the secrets: {_web(wish, secrets)}"
    if wish.provider == "heroku":
        rows = ["secret HEROKU_API_KEY: the token"]
    else:
        rows = [
            f"secret SSH_PRIVATE_KEY: the whole content of {_key_file(wish)}",
            f"variable SSH_SERVER_HOSTKEYS: {_pins(wish)}, under",
            f"  {_web(wish, variables)}",
        ]
    rows += [f"secrets DOCKER_USER, DOCKER_PASS: for {wish.foreign}"] if wish.foreign else []
    if own:
        return [title, *rows]
    if host and "github" not in host:
        rows += [
            "(On Gitea and Forgejo, these pages are /settings/actions/secrets and …/variables.)"
        ]
    names = ", ".join(wish.environments)
    return [
        title,
        *rows,
        f"Approvals and separate secrets for each environment ({names}):",
        f"  {_web(wish, '/settings/environments')}",
    ]


def _circleci(wish: Wish) -> list[str]:
    where = urlsplit(wish.web)
    owner = where.path.strip("/").partition("/")[0]
    kind = CIRCLECI.get(where.hostname or "")
    page = "Organization Settings > Contexts, at https://app.circleci.com"
    if kind:
        page = f"https://app.circleci.com/settings/organization/{kind}/{owner}/contexts"
    rows = ["HEROKU_API_KEY: the token"]
    if wish.provider != "heroku":
        rows = [
            "SSH_PRIVATE_KEY: in base64, since a variable of CircleCI has a single line",
            f"  {BASE64.format(key=_key_file(wish))}",
            f"SSH_SERVER_HOSTKEYS: {_pins(wish)}",
        ]
    if wish.images and not wish.registry:
        rows += ["DOCKER_REGISTRY: where the images are pushed"]
    registry = wish.registry or "that registry"
    rows += [f"DOCKER_USER, DOCKER_PASS: for {registry}"] if wish.images else []
    if kind == "github":  # one that is connected by CircleCI's GitHub App
        rows += ["(If there is no such page: Organization Settings > Contexts.)"]
    return [f"Make the context `{wish.provider}` with these variables: {page}", *rows]


def _push(wish: Wish) -> list[str]:
    """The commit that starts the first deploy."""
    path, last = path_of(wish), wish.environments[-1]
    lines = [f"git add {path} && git commit -m 'Deploy by ci-deploy'"]
    lines += [f"git push  # to {wish.branch}: deploys to {wish.environments[0]}"]
    if wish.environments[1:]:
        how = {
            "github": f"git tag v1 && git push origin v1  # deploys to {last}",
            "gitlab": f"({last} is deployed when somebody starts its job in the pipeline)",
            "circleci": f"({last} is deployed when somebody approves it in the pipeline)",
        }
        lines += [how[wish.ci]]
    return ["Commit the file; the pipeline of that commit is the first deploy:", *lines]


def _doctor(wish: Wish) -> list[str]:
    given = "".join(
        f" -e {shlex.quote(f'{name}={text}')}"
        for name, text in wish.settings(wish.environments[-1]).items()
        if name != "AUTO_MIGRATE_ON_DEPLOY"
    )
    key = "-e HEROKU_API_KEY"
    if wish.provider != "heroku":
        key = f"-v {_key_file(wish)}:/key:ro -e SSH_PRIVATE_KEY_FILE=/key"
        key += f" -e SSH_SERVER_HOSTKEYS='{' '.join(['SHA256:…'] * len(wish.hosts))}'"
    paste = ["read -rs HEROKU_API_KEY; export HEROKU_API_KEY  # paste the token"]
    checkout = "$(git rev-parse --show-toplevel)" if wish.folder else "$PWD"
    return [
        "Check everything before the first push (this changes nothing):",
        *(paste if wish.provider == "heroku" else []),
        f'docker run --rm -v "{checkout}:/w" -w /w {key}{given} \\',
        f"  {IMAGES}/{wish.provider}:{__version__} ci-deploy doctor",
    ]
