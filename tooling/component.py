"""Generates the GitLab components, files in templates/, from the settings.

For GitLab 17.0 and newer (docs.gitlab.com/ci/components, /ci/yaml, /ci/inputs). They use no global
keywords, no secret is an input, and no input is expanded within `script:`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ci_deploy.ci import base, gitlab
from ci_deploy.settings import Setting

# The templates have an environment input of their own; an app's config is where people put
# passwords, and GitLab stores inputs in clear.
NO_INPUTS = {"DEPLOY_ENVIRONMENT", "APP_CONFIG", "REVIEW_CONFIG"}
DEPTH = 'GIT_DEPTH: "$[[ inputs.git-depth ]]"'
NO_CHECKOUT = "GIT_STRATEGY: none"
ON_DEFAULT = {"if": "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH"}
ON_REQUEST = {"if": "$CI_PIPELINE_SOURCE == 'merge_request_event'"}
ON_SCHEDULE = {"if": "$CI_PIPELINE_SOURCE == 'schedule'"}
# A group must not begin or end with a slash, and the app's name may be a variable.
GROUP = '  resource_group: "ci-deploy/$[[ inputs.app-name ]]/{name}"'
ENVIRONMENT = "$[[ inputs.environment ]]"
Inputs = dict[str, dict[str, Any]]


def yaml(value: Any) -> str:
    """The value as JSON on one line, which is YAML too."""
    return json.dumps(value, ensure_ascii=False)


def deploy(note: str, image: str, settings: Sequence[Setting]) -> str:
    """The text of the component with a job that deploys.

    As for all components here: `note` is the comment at the top, `image` the default of the input
    `image`, `settings` become inputs.
    """
    own = _common("deploy", image, ON_DEFAULT) | {
        **_depth(),
        **_environment("Name of GitLab's environment; also DEPLOY_ENVIRONMENT"),
        "tier": {
            "default": "production",
            "options": ["production", "staging", "testing", "development", "other"],
            "description": "Tier of the environment",
        },
        "auto-stop-in": {
            "default": "never",
            "description": "Time after which GitLab stops the environment automatically",
        },
        "when": {
            "default": "on_success",
            "options": ["on_success", "manual"],
            "description": "Run automatically or manually",
        },
        "allow-failure": {
            "type": "boolean",
            "default": False,
            "description": (
                "true: a manual job that nobody has started yet does not block the pipeline; "
                "a failed deploy is then only a warning"
            ),
        },
    }
    job = [
        *_job("$[[ inputs.job-name ]]", "$[[ inputs.when ]]", "$[[ inputs.allow-failure ]]"),
        GROUP.format(name=ENVIRONMENT),
        "  environment:",
        f'    name: "{ENVIRONMENT}"',
        "    url: $DEPLOYED_URL",
        "    deployment_tier: $[[ inputs.tier ]]",
        '    auto_stop_in: "$[[ inputs.auto-stop-in ]]"',
        *_variables(settings, ENVIRONMENT, [DEPTH]),
        *_script("deploy"),
        *_artifacts(),
    ]
    return _file(note, own, settings, job)


def review(note: str, image: str, settings: Sequence[Setting]) -> str:
    """The text of the component with a job that deploys the branch's review app, and one that
    removes it."""
    own = _common("review", image, ON_REQUEST) | {
        **_depth(),
        "environment": {
            "default": "review",
            "description": "First part of the environment's name, before `/` and the branch's slug",
        },
        "auto-stop-in": {
            "default": "1 week",
            "description": "Time after which GitLab stops the environment automatically",
        },
    }
    name = f"{ENVIRONMENT}/$CI_COMMIT_REF_SLUG"
    group = GROUP.format(name=name)
    stop = '"$[[ inputs.job-name ]]:stop"'
    job = [
        *_job("$[[ inputs.job-name ]]", "on_success", "false"),
        group,
        "  environment:",
        f'    name: "{name}"',
        "    url: $DEPLOYED_URL",
        "    deployment_tier: development",
        f"    on_stop: {stop}",
        '    auto_stop_in: "$[[ inputs.auto-stop-in ]]"',
        *_variables(settings, name, [DEPTH]),
        *_script("ci-deploy review"),
        *_artifacts(),
        "",
        "# same stage, rules and resource group, or GitLab cannot stop it; the branch may be gone",
        *_job("$[[ inputs.job-name ]]:stop", "manual", "true"),
        group,
        "  environment:",
        f'    name: "{name}"',
        "    action: stop",
        *_variables(settings, name, [NO_CHECKOUT]),
        *_script("ci-deploy destroy"),
    ]
    return _file(note, own, settings, job)


def plan(note: str, image: str, settings: Sequence[Setting]) -> str:
    """The text of the component with a job that shows what deploying a merge request would
    change."""
    own = _common("plan", image, ON_REQUEST) | {
        **_depth(),
        **_environment("GitLab's environment to plan for; also DEPLOY_ENVIRONMENT"),
    }
    job = [
        *_job("$[[ inputs.job-name ]]", "on_success", "false"),
        "  environment:  # its variables, without a deployment",
        f'    name: "{ENVIRONMENT}"',
        "    action: verify",
        *_variables(settings, ENVIRONMENT, [DEPTH]),
        *_script("ci-deploy plan"),
        *_artifacts(),
    ]
    return _file(note, own, settings, job)


def rollback(note: str, image: str, settings: Sequence[Setting]) -> str:
    """The text of the component with a manual job that rolls back to the previous release."""
    own = _common("rollback", image, ON_DEFAULT) | {
        **_depth(),
        **_environment("GitLab's environment to roll back; also DEPLOY_ENVIRONMENT"),
    }
    job = [
        *_job("$[[ inputs.job-name ]]", "manual", "true"),
        GROUP.format(name=ENVIRONMENT),
        "  environment:",
        f'    name: "{ENVIRONMENT}"',
        "    url: $DEPLOYED_URL",
        *_variables(settings, ENVIRONMENT, [DEPTH]),
        *_script("ci-deploy rollback"),
        *_artifacts(),
    ]
    return _file(note, own, settings, job)


def sweep(note: str, image: str, settings: Sequence[Setting]) -> str:
    """The text of the component with a scheduled job that removes review apps which were not
    deployed for some days."""
    own = _common("sweep", image, ON_SCHEDULE) | {
        "environment": {
            "default": "review",
            "description": "First part of the environments' names; the job gets their variables",
        },
        "days": {
            "default": "14",
            "description": "Days without a deployment after which a review app is removed",
        },
    }
    name = f"{ENVIRONMENT}/sweep"
    job = [
        *_job("$[[ inputs.job-name ]]", "on_success", "false"),
        GROUP.format(name=name),
        "  environment:",
        f'    name: "{name}"',
        "    action: verify",
        *_variables(settings, name, [NO_CHECKOUT, 'STALE_DAYS: "$[[ inputs.days ]]"']),
        *_script('ci-deploy destroy --stale "$STALE_DAYS" --yes'),
    ]
    return _file(note, own, settings, job)


TEMPLATES: Mapping[str, Callable[[str, str, Sequence[Setting]], str]] = {
    "deploy": deploy,
    "review": review,
    "rollback": rollback,
    "plan": plan,
    "sweep": sweep,
}


def _common(job: str, image: str, rule: Mapping[str, str]) -> Inputs:
    return {
        "job-name": {"default": job, "description": "Name of the job"},
        "stage": {"default": "deploy", "description": "Stage of the job"},
        "image": {
            "default": image,
            "description": "Image of the job; /dokku and others are smaller than /full",
        },
        "rules": {
            "type": "array",
            "default": [rule],
            "description": "When the job is added to the pipeline",
        },
    }


def _depth() -> Inputs:
    about = "Number of commits to clone; 0 means all, which a push needs"
    return {"git-depth": {"default": "0", "description": about}}


def _environment(about: str) -> Inputs:
    return {"environment": {"default": "production", "description": about}}


def _inputs(settings: Iterable[Setting]) -> list[Setting]:
    return [each for each in settings if not each.secret and each.name not in NO_INPUTS]


def _file(note: str, own: Inputs, settings: Sequence[Setting], job: Sequence[str]) -> str:
    entries = own | {each.input: _input(each) for each in _inputs(settings)}
    lines = [f"# {note}", "spec:", "  inputs:"]
    for name, entry in entries.items():
        lines += [f"    {name}:", *(f"      {key}: {yaml(value)}" for key, value in entry.items())]
    return "\n".join([*lines, "---", *job]) + "\n"


def _input(setting: Setting) -> dict[str, Any]:
    """An input is a text that defaults to empty: the real default is ours to apply, and whatever is
    given explicitly must be seen to be given. It has no `regex`: GitLab before 18.1 validates the
    default too, and its matcher rejects every empty text."""
    entry: dict[str, Any] = {"default": ""}
    if setting.choices:
        entry["options"] = ["", *setting.choices]
    elif setting.base is bool:
        entry["options"] = ["", "true", "false"]
    return {**entry, "description": setting.description}


def _job(name: str, when: str, may_fail: str) -> list[str]:
    return [
        f'"{name}":',
        "  stage: $[[ inputs.stage ]]",
        '  image: { name: "$[[ inputs.image ]]", entrypoint: [""] }',
        "  rules: $[[ inputs.rules ]]",
        f"  when: {when}",
        f"  allow_failure: {may_fail}",
        "  interruptible: false",
        "  retry: { max: 2, exit_codes: [11] }",
        "  dependencies: []",
        "  # what a project sets for all of its jobs is meant for other images",
        "  before_script: []",
        "  after_script: []",
        "  services: []",
        "  cache: []",
    ]


def _variables(settings: Iterable[Setting], environment: str, more: Sequence[str]) -> list[str]:
    lines = ["  variables:", *(f"    {line}" for line in more)]
    lines += [f'    INPUT_DEPLOY_ENVIRONMENT: "{environment}"']
    for setting in _inputs(settings):
        value = f'"$[[ inputs.{setting.input} ]]"'
        if setting.literal:
            value = f"{{ value: {value}, expand: false }}"
        lines += [f"    INPUT_{setting.name}: {value}"]
    return lines


def _script(command: str) -> list[str]:
    """Runners 17.0 to 19.0 run a script as `: | eval …`, where errexit turns every code into 1."""
    return ["  script:", f"    - {command} || exit $?"]


def _artifacts() -> list[str]:
    return [
        "  artifacts:",
        "    when: always",
        '    name: "$CI_JOB_NAME"',
        "    access: developer",
        f"    paths: [{base.REPORT_FILE}]",
        "    reports:",
        f"      dotenv: {gitlab.DOTENV}",
        f"      annotations: {gitlab.ANNOTATIONS}",
        f"      junit: {gitlab.JUNIT}",
    ]
