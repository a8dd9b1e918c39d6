"""The pipeline file of GitLab, which includes the components of this project."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from ci_deploy import __version__
from ci_deploy.commands.pipelines.common import (
    Wish,
    head,
    inputs,
    mapping,
    own,
    quiet,
    reviewed,
    scalar,
)
from ci_deploy.commands.published import GITLAB, GITLAB_IMAGES, IMAGES

# A line that is the same text in YAML; a `:` or `#` beside a blank is not.
SAFE_LINE = re.compile(r"(?:[^:#]|:(?=\S)|(?<=\S)#)+")
HOST = "gitlab.com"  # where the components are published


def gitlab(wish: Wish) -> str:
    """The text of .gitlab-ci.yml. Each included component makes one job, `review` two; of several
    environments the last one is deployed when somebody starts its job."""
    first, last = wish.environments[0], wish.environments[-1]
    lines = [*head(wish), f"stages: [{'build, ' if wish.images else ''}deploy]", ""]
    if wish.images:
        lines += _gitlab_build(wish)
    lines += ["include:", "  # in merge requests: what a deploy would change; nothing is changed"]
    lines += _component(
        wish, "plan", wish.settings(first), {"environment": first, "plan-comment": "true"}
    )
    for name in wish.environments:
        manual = name == last and len(wish.environments) > 1
        given = {"job-name": f"deploy:{name}", "environment": name}
        given |= {} if manual or name == last else {"tier": _tier(name)}
        given |= {"when": "manual", "allow-failure": "true"} if manual else {}
        lines += ["", f"  # {_when(wish, name)}"]
        lines += _component(wish, f"deploy-{wish.provider}", wish.settings(name), given)
    lines += ["", "  # rolls back to the previous release, when somebody starts the job"]
    lines += _component(wish, "rollback", quiet(wish.settings(last)), {"environment": last})
    if wish.review:
        lines += [
            "",
            "  # a separate app for each merge request, removed with it or after a week",
        ]
        lines += _component(wish, "review", reviewed(wish), {"auto-stop-in": "1 week"})
    for before, name in zip(wish.environments, wish.environments[1:], strict=False):
        lines += ["", f'"deploy:{name}":', f'  needs: ["deploy:{before}"]']
    return "\n".join(lines) + "\n"


def _component(
    wish: Wish, job: str, settings: Mapping[str, str], job_inputs: Mapping[str, str]
) -> list[str]:
    booleans = {"allow-failure"}
    given = {name: text if name in booleans else scalar(text) for name, text in job_inputs.items()}
    if job != f"deploy-{wish.provider}":  # which has the small image already
        given["image"] = f"{GITLAB_IMAGES}/{wish.provider}:{__version__}"
    given |= inputs(own(settings))
    return [_include(wish, job), "    inputs:", *mapping(given, "      ")]


def _include(wish: Wish, job: str) -> str:
    """The component, or on another instance than gitlab.com the template by its URL."""
    if (urlsplit(wish.web).hostname or HOST) == HOST:
        return f"  - component: $CI_SERVER_FQDN/{GITLAB}/{job}@{__version__}"
    return f"  - remote: https://{HOST}/{GITLAB}/-/raw/{__version__}/templates/{job}.yml"


def _tier(environment: str) -> str:
    known = ("production", "staging", "testing", "development")
    return environment if environment in known else "other"


def _when(wish: Wish, name: str) -> str:
    if name == wish.environments[-1] and len(wish.environments) > 1:
        return f"{name}: when somebody starts the job"
    return f"{name}: each commit of {wish.branch}"


def _gitlab_build(wish: Wish) -> list[str]:
    registry, user, password = (
        ("$CI_REGISTRY", "$CI_REGISTRY_USER", "$CI_REGISTRY_PASSWORD")
        if not wish.foreign
        else (wish.registry, "$DOCKER_USER", "$DOCKER_PASS")
    )
    builds = wish.builds(registry)
    in_requests = wish.review or wish.plans_images
    return [
        "build:",
        "  stage: build",
        "  image: docker:28",
        "  services: [docker:28-dind]",
        "  rules:",
        "    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH",
        *(["    - if: $CI_PIPELINE_SOURCE == 'merge_request_event'"] if in_requests else []),
        "  script:",
        "    # the tag that the deploy of this pipeline uses",
        "    - TAG=$(docker run --rm -e GITLAB_CI -e CI_PIPELINE_IID -e CI_COMMIT_SHA",
        "      -e CI_MERGE_REQUEST_EVENT_TYPE -e CI_MERGE_REQUEST_SOURCE_BRANCH_SHA",
        f"      {IMAGES}/compose:{__version__} ci-deploy tag) || exit $?",
        f'    - echo "{password}" | docker login --username "{user}" --password-stdin "{registry}"',
        *(
            f"    - {line if SAFE_LINE.fullmatch(line) else json.dumps(line, ensure_ascii=False)}"
            for line in builds
        ),
        "",
    ]
