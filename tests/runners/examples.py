"""The examples as they are run in tests: only the server and the image are other ones."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ci_deploy import __version__
from standins.heroku.server import HerokuStandIn
from standins.support import ROOT, Checkout
from tests.containers import Container

EXAMPLES = ROOT / "examples"
TOOLS = ROOT / ".tools/bin"
OURS = "$CI_SERVER_FQDN/ci-deploy/ci-deploy/"


def pipeline(name: str, image: str) -> str:
    """A GitLab example, with the component from the project itself and our image."""
    text = (EXAMPLES / "gitlab" / f"{name}.gitlab-ci.yml").read_text()
    text = text.replace(f"@{__version__}", "@$CI_COMMIT_SHA")
    text = text.replace(OURS, "$CI_SERVER_FQDN/$CI_PROJECT_PATH/")
    text = re.sub(r"dokku@dokku\.[\w.]+", "root@dokku", text)
    text = re.sub(r" +image: ghcr.+\n", "", text)
    inputs = f"inputs:\n      image: {image}\n      dokku-create-app: 'true'\n"
    return text.replace("inputs:\n", inputs)


def project(path: Path, pipeline_text: str) -> Checkout:
    """A project with the hello app, our templates and a pipeline, as gitlab-ci-local wants it."""
    made = Checkout(path)
    shutil.copytree(ROOT / "templates", made.path / "templates")
    (made.path / ".gitlab-ci.yml").write_text(pipeline_text)
    made.commit("Pipeline", {"Procfile": "worker: sleep 600\n"})
    made.git("remote", "add", "origin", "https://gitlab.com/acme/hello.git")
    refresh(made)
    return made


def refresh(made: Checkout) -> None:
    """gitlab-ci-local reads the default branch from the remote's refs."""
    made.git("update-ref", "refs/remotes/origin/main", "HEAD")
    made.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")


class Reached(NamedTuple):
    """How a server is reached: the network, the secrets and the variables of the project."""

    network: str
    secrets: Mapping[str, str]
    settings: Mapping[str, str]


Server = Container | HerokuStandIn | Reached


def reached(server: Server) -> Reached:
    if isinstance(server, Reached):
        return server
    if isinstance(server, HerokuStandIn):
        where = {"HEROKU_API_URL": server.url, "HEROKU_GIT_URL": server.url}
        where |= {"HEROKU_BOOT_TIMEOUT": "3", "CA_BUNDLE": "ca.pem"}
        return Reached("host", {"HEROKU_API_KEY": server.key}, where)
    settings = server.settings()
    key, hosts = settings["SSH_PRIVATE_KEY"], settings["SSH_SERVER_HOSTKEYS"]
    return Reached(server.network, {"SSH_PRIVATE_KEY": key}, {"SSH_SERVER_HOSTKEYS": hosts})


def gitlab_ci_local(
    made: Checkout,
    server: Server,
    *arguments: str,
    scoped: Mapping[str, Mapping[str, str]] | None = None,
    git: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run the pipeline, or what `arguments` say; secrets are project variables, as on GitLab.

    `scoped` variables have a value for each environment scope; `git` is for the runner's own git.
    """
    network, secrets, settings = reached(server)
    home = made.path.parent / "home"
    home.mkdir(exist_ok=True)
    variables = home / "variables.yml"
    given: dict[str, object] = {**secrets, **settings}
    given |= {name: {"type": "variable", "values": each} for name, each in (scoped or {}).items()}
    known = {"GIT_CONFIG_COUNT": str(len(git or {}))}
    for at, (key, text) in enumerate((git or {}).items()):
        known |= {f"GIT_CONFIG_KEY_{at}": key, f"GIT_CONFIG_VALUE_{at}": text}
    variables.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in given.items()))
    return subprocess.run(
        [
            TOOLS / "gitlab-ci-local",
            *("--pull-policy", "if-not-present", "--helper-image", "ci-deploy-test/helper"),
            *("--no-color", "--network", network, "--variables-file", variables),
            *arguments,
        ],
        cwd=made.path,
        env={
            **os.environ,
            "HOME": str(home),
            "GIT_CONFIG_COUNT": str(len(git or {})),
            **known,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def action(folder: Path, image: str, provider: str = "") -> Path:
    """Our action in the form of a release, with an image instead of a Dockerfile: the one of a
    provider, or the general one. Returns the folder of all of them."""
    path = folder / provider / "action.yml"
    path.parent.mkdir(parents=True)
    text = (ROOT / provider / "action.yml").read_text()
    path.write_text(re.sub(r"image: (\.\./)?Dockerfile", f"image: docker://{image}", text))
    return folder


def _checkout(folder: Path) -> Path:
    """In place of actions/checkout, which act would fetch when it has a `ref`: the project's own
    directory is mounted, so that there is nothing to do."""
    path = folder / "checkout"
    path.mkdir(exist_ok=True)
    (path / "action.yml").write_text(
        "name: checkout\nruns: { using: composite, steps: [{ run: ':', shell: sh }] }\n"
    )
    return path


def act(
    made: Checkout,
    server: Server,
    released: Path,
    event: str,
    *arguments: str,
    payload: Mapping[str, object] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run the workflows of a project with act."""
    network, secrets, settings = reached(server)
    home = made.path.parent / "home"
    home.mkdir(exist_ok=True)
    (home / "event.json").write_text(json.dumps(payload or {}))
    secret, variable = home / "secrets", home / "vars"
    secret.write_text("".join(f"{key}={json.dumps(value)}\n" for key, value in secrets.items()))
    firsts = {key: value.splitlines()[0] for key, value in settings.items()}
    variable.write_text("".join(f"{key}={value}\n" for key, value in firsts.items()))
    return subprocess.run(
        [
            TOOLS / "act",
            event,
            *("-P", "ubuntu-latest=ci-deploy-test/helper", "--pull=false"),
            *("--rebuild=false", "--action-offline-mode", "--network", network),
            *("--container-daemon-socket", "-", "--secret-file", secret, "--var-file", variable),
            *("--eventpath", home / "event.json"),
            *("--local-repository", f"ci-deploy/ci-deploy@v{__version__}={released}"),
            *("--bind", "--local-repository", f"actions/checkout@v6={_checkout(home)}"),
            *arguments,
        ],
        cwd=made.path,
        env={**os.environ, "HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
