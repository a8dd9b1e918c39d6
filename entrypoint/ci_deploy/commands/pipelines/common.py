"""What the pipeline files of all CI platforms have in common."""

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
    """What the pipeline is to do."""

    ci: str  # `gitlab`, `github` or `circleci`
    provider: str
    host: str  # one or several, separated by spaces; empty for Heroku
    app: str  # its name on the provider
    environments: tuple[str, ...]  # the last one is deployed manually
    review: bool  # whether each change gets a review app
    branch: str  # the one that is deployed
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
        """The hosts as a list; Compose may have several."""
        return self.host.split()

    def app_of(self, environment: str) -> str:
        """The name of the app of an environment: `hello-staging`, and `hello` for the last one."""
        if environment == self.environments[-1]:
            return self.app
        label, dot, domain = self.app.partition(".")
        return f"{label}-{environment}{dot}{domain}"

    def settings(self, environment: str = "") -> dict[str, str]:
        """The settings that are not secret, name → value, for the app of `environment` (default:
        the last one)."""
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
        """The registry of the images in the compose file; empty if a variable names it."""
        return self.images[0].registry if self.images else ""

    @property
    def foreign(self) -> str:
        """The registry, if it is not that of the CI platform, for which each job has a login; else
        empty."""
        return "" if self.registry == OWN.get(self.ci) else self.registry

    @property
    def plans_images(self) -> bool:
        """Whether `plan` needs the images of its commit: for Swarm it asks the registry for
        them."""
        return bool(self.images) and self.provider == "swarm"

    def builds(self, registry: str) -> list[str]:
        """The `docker build` line of each image (`Image.build`), for a shell in which TAG is
        set."""
        return [image.build(registry, self.folder) for image in self.images]


def scalar(text: str) -> str:
    """A text as a YAML scalar, quoted if it would mean something else without quotes."""
    plain = PLAIN.fullmatch(text) and text.lower() not in NOT_TEXT and not text.endswith(":")
    return text if plain else json.dumps(text)


def mapping(values: Mapping[str, str], indent: str) -> list[str]:
    """The lines of a YAML mapping; its values are YAML already."""
    return [f"{indent}{name}: {value}" for name, value in values.items()]


def own(settings: Mapping[str, str]) -> dict[str, str]:
    """The settings for a job with the provider's own image, which sets DEPLOY_PROVIDER itself."""
    return {name: text for name, text in settings.items() if name != "DEPLOY_PROVIDER"}


def inputs(settings: Mapping[str, str]) -> dict[str, str]:
    """The settings as inputs of the component or action: name → YAML scalar."""
    return {name.lower().replace("_", "-"): scalar(text) for name, text in settings.items()}


def head(wish: Wish) -> list[str]:
    """The first lines of a pipeline file: comments with links to the documentation."""
    return [
        "# Written by `ci-deploy init`; it is yours now. All settings, and more about this file:",
        f"# {DOCS}/settings.md",
        f"# {DOCS}/{wish.ci}.md",
    ]


def reviewed(wish: Wish) -> dict[str, str]:
    """The settings of a review app, with the services that Dokku makes for it."""
    services = {"DOKKU_SERVICES": " ".join(wish.services)} if wish.services else {}
    return {**wish.settings(), **services}


def quiet(settings: Mapping[str, str]) -> dict[str, str]:
    """The settings for commands other than a deploy: without AUTO_MIGRATE_ON_DEPLOY."""
    return {name: text for name, text in settings.items() if name != "AUTO_MIGRATE_ON_DEPLOY"}
