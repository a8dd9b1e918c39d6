"""Checks the names of images, and the services with `build`: whether their images can be pulled,
and whether a deployment replaces them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ci_deploy.errors import Problem, SettingsError
from ci_deploy.layers.providers.docker.model import POLICIES, Model
from ci_deploy.run.context import Context

PART = r"[a-z0-9]+([._-]+[a-z0-9]+)*"
# The format of the registries (distribution/reference); a variable without a value breaks it.
NAME = re.compile(
    rf"([A-Za-z0-9.-]+(:\d+)?/)?{PART}(/{PART})*(:\w[\w.-]{{0,127}})?(@\w+:[0-9a-f]+)?"
)


def check_images(ctx: Context, model: Model, *, sent: bool) -> None:
    """Raise SettingsError for images whose names are not valid or that cannot be pulled, and warn
    of those that no deployment replaces. `sent`: they come from an archive, so none is pulled."""
    if problems := [*invalid(model), *(() if sent else unpushed(model))]:
        raise SettingsError(*problems)
    if text := left(model):
        ctx.console.warning(text)


def invalid(model: Model) -> Iterator[Problem]:
    """Problems of image names that Docker would reject only after the deployment has begun."""
    for each in model.services.values():
        if not each.optional and not NAME.fullmatch(each.image):
            reason = f"the image of {each.name}, `{each.image}`, is not a valid name."
            remedy = "Check the variables in it: one may have no value or a wrong one."
            if NAME.fullmatch(each.image.lower()):
                remedy = "All of it before the tag must be lower case."
            yield Problem("COMPOSE_FILE", reason, "", remedy)


def unpushed(model: Model) -> Iterator[Problem]:
    """Problems of images that would be pulled although nobody can have pushed them: on Docker Hub a
    name without a user is an official image (a `build` with `image: nginx` would run that one)."""
    for each in model.ours:
        pulled = POLICIES.get(each.policy, "always") == "always"
        if each.built and pulled and not each.optional and "/" not in each.image:
            name = each.image.partition(":")[0]
            reason = f"{each.name} has `build`, but its image `{each.image}` cannot be pushed: "
            reason += "names without a user are Docker Hub's official images."
            remedy = "Push it in an earlier job, and name it with its registry: "
            remedy += f"image: registry.example.com/acme/{name}:${{DEPLOY_TAG}}"
            yield Problem("COMPOSE_FILE", reason, "", remedy)


def left(model: Model) -> str:
    """A warning about services that have `build` and that no deployment replaces, since their
    images' names lack the tag; empty for none. A pull policy shows that this is intended."""
    ours = {each.name for each in model.ours}
    names = [
        each.name
        for each in model.services.values()
        if each.built and not each.policy and not each.optional and each.name not in ours
    ]
    if not names:
        return ""
    return (
        f"deployments do not replace the image of {', '.join(names)}, which has `build`, since the "
        "image's name lacks ${DEPLOY_TAG}. Add that if each release has a new image; if not, set "
        "`pull_policy: missing`."
    )


def untagged(model: Model, run_service: str) -> str:
    """The warning about a model that is `mutable`: what each deployment pulls, and what to do.
    `run_service`: COMPOSE_RUN_SERVICE, whose image is pulled even if a profile is needed."""
    pulled = [each.name for each in model.ours if not each.optional or each.name == run_service]
    then = f"each deployment pulls the images of {', '.join(pulled)}"
    if not pulled:
        then = "deployments pull only images that a host lacks, because of each `pull_policy`"
    return (
        "no image's name contains ${DEPLOY_TAG}, so it is unknown whether the images have changed: "
        f"{then}. Put ${{DEPLOY_TAG}} into the name of the image that your CI builds."
    )
