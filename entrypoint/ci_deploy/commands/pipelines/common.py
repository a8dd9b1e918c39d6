"""`Wish`, from which each CI platform's module makes its pipeline file, and the functions for YAML
and settings that these modules share."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import NamedTuple

from ci_deploy.commands.builds import Image
from ci_deploy.commands.published import GITHUB

PLAIN = re.compile(r"[A-Za-z][\w.@:/-]*")
ON_DOCKER = {"compose", "swarm"}  # providers that run images which the pipeline builds
NOT_TEXT = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}  # in some YAML
OWN = {"gitlab": "registry.gitlab.com", "github": "ghcr.io"}  # registries
WORKFLOWS = ".github/workflows"
DOCS = f"https://github.com/{GITHUB}/tree/main/docs"


class Wish(NamedTuple):
    """What the pipeline file is to do, for one app: what `init` has detected and asked. `init`
    makes one; the modules of this package and first_steps.py read it."""

    ci: str  # `gitlab`, `github` or `circleci`
    provider: str
    host: str  # one or several, separated by spaces; empty for Heroku
    app: str  # its name on the provider
    environments: tuple[str, ...]  # of several, the last: manually, or by a tag
    review: bool  # whether each change gets a review app
    branch: str  # the default branch, whose commits are deployed
    web: str = ""  # the URL of the project's page
    framework: str = ""  # whose migrations a deploy has to run
    named: bool = False  # whether DEPLOY_APPLICATION is needed: its files are in a sub-directory
    manage: str = ""  # DJANGO_MANAGE_COMMAND
    images: tuple[Image, ...] = ()  # to be built and tagged before the deploy
    folder: str = ""  # of the app in the repository; empty for the top
    compose: tuple[str, ...] = ()  # the compose files, relative to it
    run_service: str = ""  # COMPOSE_RUN_SERVICE
    services: tuple[str, ...] = ()  # of Dokku's plugins, that a review app needs too
    workflows: str = WORKFLOWS  # Gitea and Forgejo may have their own directory

    @property
    def hosts(self) -> list[str]:
        """The hosts as a list, each `[user@]host[:port]`; empty for Heroku."""
        return self.host.split()

    def app_of(self, environment: str) -> str:
        """The name of the app of an environment: `app` for the last one, for others with their name
        added to the first label, like `hello-staging` or `shop-staging.example.com`."""
        if environment == self.environments[-1]:
            return self.app
        label, dot, domain = self.app.partition(".")
        return f"{label}-{environment}{dot}{domain}"

    def settings(self, environment: str = "") -> dict[str, str]:
        """The settings that are not secret, variable → value, for a deploy to `environment`
        (default: the last one). DEPLOY_ENVIRONMENT is not among them."""
        app = self.app_of(environment) if environment else self.app
        given = {"APP_NAME": app}
        if self.provider != "heroku":
            given["DOKKU_HOST" if self.provider == "dokku" else "SERVER_HOST"] = self.host
        if self.provider in {"heroku", "swarm"}:  # no other setting tells
            given["DEPLOY_PROVIDER"] = self.provider
        if self.provider == "compose" and len(self.environments) > 1:
            given["DEPLOY_PATH"] = app
        more = {
            "DOCKER_REGISTRY": self.foreign,
            "APP_DIR": self.folder,
            "COMPOSE_FILE": " ".join(self.compose),
            "AUTO_MIGRATE_ON_DEPLOY": "true" if self.framework else "",
            "DEPLOY_APPLICATION": self.framework if self.named else "",
            "DJANGO_MANAGE_COMMAND": self.manage,
            "COMPOSE_RUN_SERVICE": self.run_service,
        }
        return {**given, **{name: text for name, text in more.items() if text}}

    @property
    def registry(self) -> str:
        """The host of the registry of the first image; empty without images, or if that image's
        name contains a variable (`Image.registry`)."""
        return self.images[0].registry if self.images else ""

    @property
    def foreign(self) -> str:
        """`registry`, if it is not that of the CI platform, for which each job has a login on
        GitLab and GitHub; else empty."""
        return "" if self.registry == OWN.get(self.ci) else self.registry

    @property
    def plans_images(self) -> bool:
        """Whether the job `plan` needs the images of its commit: with Swarm it asks the registry
        for them, so they must be built first."""
        return bool(self.images) and self.provider == "swarm"

    def builds(self, registry: str) -> list[str]:
        """The `docker build` line of each image (`Image.build`), for a shell in which TAG is set.
        `registry`: the host that stands for DOCKER_REGISTRY and CI_REGISTRY."""
        return [image.build(registry, self.folder) for image in self.images]


def scalar(text: str) -> str:
    """A text as a YAML scalar, quoted if it would mean something else without quotes."""
    plain = PLAIN.fullmatch(text) and text.lower() not in NOT_TEXT and not text.endswith(":")
    return text if plain else json.dumps(text)


def mapping(values: Mapping[str, str], indent: str) -> list[str]:
    """The lines of a YAML mapping, each after `indent`; the values must be YAML already
    (`scalar`)."""
    return [f"{indent}{name}: {value}" for name, value in values.items()]


def own(settings: Mapping[str, str]) -> dict[str, str]:
    """`settings` without DEPLOY_PROVIDER, for a job with the provider's own image, which sets
    it."""
    return {name: text for name, text in settings.items() if name != "DEPLOY_PROVIDER"}


def inputs(settings: Mapping[str, str]) -> dict[str, str]:
    """`settings` (variable → value) as inputs of a GitLab component or GitHub action: APP_NAME
    becomes `app-name`, the value a YAML scalar."""
    return {name.lower().replace("_", "-"): scalar(text) for name, text in settings.items()}


def head(wish: Wish) -> list[str]:
    """The first lines of a pipeline file: comments with links to the documentation."""
    return [
        "# Written by `ci-deploy init`; it is yours now. All settings, and more about this file:",
        f"# {DOCS}/settings.md",
        f"# {DOCS}/{wish.ci}.md",
    ]


def reviewed(wish: Wish) -> dict[str, str]:
    """The settings of the jobs for review apps: those of the last environment's app, the base app,
    and on Dokku the services that each review app gets (DOKKU_SERVICES)."""
    services = {"DOKKU_SERVICES": " ".join(wish.services)} if wish.services else {}
    return {**wish.settings(), **services}


def quiet(settings: Mapping[str, str]) -> dict[str, str]:
    """`settings` without AUTO_MIGRATE_ON_DEPLOY, for commands other than a deploy."""
    return {name: text for name, text in settings.items() if name != "AUTO_MIGRATE_ON_DEPLOY"}
