"""The configuration file of CircleCI: a job with parameters, and the workflows that run it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ci_deploy import __version__
from ci_deploy.commands.pipelines.common import Wish, head, mapping, scalar
from ci_deploy.commands.published import IMAGES

SWEEP = "destroy --stale 14 --yes"


def circleci(wish: Wish) -> str:
    """The text of .circleci/config.yml. A pipeline deploys commits of the branch, and plans those
    of others; one that is started with the parameter `command` runs `rollback`, or `sweep`, which
    removes old review apps. Of several environments the last one waits for an approval."""
    commands = ["deploy", "rollback", *(["sweep"] if wish.review else [])]
    lines = [*head(wish), "version: 2.1", "", "parameters:"]
    lines += [
        "  command: # for a pipeline that is started manually, or by a schedule",
        "    type: enum",
    ]
    lines += [f"    enum: [{', '.join(commands)}]", "    default: deploy", "", "jobs:"]
    lines += _build(wish) if wish.images else []
    lines += [*_job(wish), "workflows:"]
    lines += [*_when("deploy"), "    jobs:", *_deploys(wish)]
    last = wish.environments[-1]
    lines += ["", *_when("rollback"), "    jobs:", *_use(wish, "rollback", "rollback", last)]
    if wish.review:
        lines += [
            "",
            "  # removes review apps not deployed for two weeks; start it by a schedule",
        ]
        lines += [*_when("sweep"), "    jobs:", *_use(wish, "sweep", SWEEP, "review")]
    return "\n".join(lines) + "\n"


def _job(wish: Wish) -> list[str]:
    known = {name: text for name, text in wish.settings().items() if name != "APP_NAME"}
    varying = {
        "APP_NAME": "<< parameters.app >>",
        "DEPLOY_ENVIRONMENT": "<< parameters.environment >>",
    }
    if "DEPLOY_PATH" in known:
        varying["DEPLOY_PATH"] = "<< parameters.app >>"
    given = {**{name: _text(text) for name, text in known.items()}, **varying}
    given |= {"DEPLOY_TAG_FILE": "<< parameters.tag >>"} if wish.images else {}
    given |= {"DOKKU_SERVICES": "<< parameters.services >>"} if _own_services(wish) else {}
    more = ["tag"] * bool(wish.images) + ["services"] * _own_services(wish)
    tag = [f"      {name}: {{ type: string, default: '' }}" for name in more]
    attach = ["      - when:", "          condition: << parameters.tag >>"]
    attach += ["          steps: [attach_workspace: { at: build }]"]
    return [
        "  ci-deploy:",
        "    parameters:",
        "      command: { type: string }",
        "      app: { type: string }",
        "      environment: { type: string }",
        *tag,
        "    docker:",
        f"      - image: {IMAGES}/{wish.provider}:{__version__}",
        "    environment:",
        *mapping(given, "      "),
        "    steps:",
        "      - checkout: { method: full }",
        *(attach if wish.images else []),
        "      - run: ci-deploy << parameters.command >>",
        "      - store_artifacts: { path: deploy-report.json }",
        "",
    ]


def _text(value: str) -> str:
    """Variables are texts there too: `true` is one."""
    return scalar(value)


def _when(command: str) -> list[str]:
    condition = f"equal: [{command}, << pipeline.parameters.command >>]"
    return [f"  {command}:", f"    when: {{ {condition} }}"]


def _deploys(wish: Wish) -> list[str]:
    only, others = f"only: {json.dumps(wish.branch)}", f"ignore: {json.dumps(wish.branch)}"
    lines = ["      # on other branches: what a deploy would change; nothing is changed"]
    tag = "build/tag" if wish.images else ""
    needs, plan_tag = (["build"], tag) if wish.plans_images else ([], "")
    first = wish.environments[0]
    lines += _use(wish, "plan", "plan", first, branches=others, requires=needs, tag=plan_tag)
    before: list[str] = []
    if wish.images:
        lines += ["      - build:", f"          context: {_context(wish)}"]
        if not (wish.review or wish.plans_images):
            lines += [f"          filters: {{ branches: {{ {only} }} }}"]
        before = ["build"]
    if wish.review:
        lines += ["      # a separate app for each of these branches"]
        lines += _use(wish, "review", "review", "review", branches=others, requires=before, tag=tag)
    for name in wish.environments:
        if name == wish.environments[-1] and len(wish.environments) > 1:
            lines += ["      - approve:", "          type: approval"]
            lines += [f"          requires: [{', '.join(before)}]"]
            lines += [f"          filters: {{ branches: {{ {only} }} }}"]
            before = ["approve"]
        lines += _use(
            wish, f"deploy-{name}", "deploy", name, branches=only, requires=before, tag=tag
        )
        before = [f"deploy-{name}"]
    return lines


def _use(
    wish: Wish,
    name: str,
    command: str,
    environment: str,
    *,
    branches: str = "",
    requires: Sequence[str] = (),
    tag: str = "",
) -> list[str]:
    app = wish.app_of(environment) if environment in wish.environments else wish.app
    own = _own_services(wish)
    changing = command not in {"plan", "review"}
    group = f"<< pipeline.project.slug >>/{environment}"
    return [
        "      - ci-deploy:",
        f"          name: {name}",
        f"          command: {command}",
        f"          app: {scalar(app)}",
        f"          environment: {scalar(environment)}",
        *([f"          tag: {tag}"] if tag else []),
        *(
            [f"          services: {' '.join(wish.services)}"]
            if command == "review" and own
            else []
        ),
        f"          context: {_context(wish)}",
        *([f"          requires: [{', '.join(requires)}]"] if requires else []),
        *([f"          filters: {{ branches: {{ {branches} }} }}"] if branches else []),
        *([f"          serial-group: {group}"] if changing else []),
    ]


def _own_services(wish: Wish) -> bool:
    return wish.review and bool(wish.services)


def _context(wish: Wish) -> str:
    return wish.provider


def _build(wish: Wish) -> list[str]:
    registry = wish.registry or "$DOCKER_REGISTRY"
    return [
        "  build: # the images, with the tag that the deploys use",
        "    machine:",
        "      image: ubuntu-2404:current",
        "    steps:",
        "      - checkout",
        "      - run: |",
        "          mkdir build",
        "          docker run --rm -e CIRCLECI -e CIRCLE_BUILD_NUM -e CIRCLE_SHA1 \\",
        f"            {IMAGES}/compose:{__version__} ci-deploy tag >build/tag",
        "          TAG=$(cat build/tag)",
        '          echo "$DOCKER_PASS" |',
        f'            docker login --username "$DOCKER_USER" --password-stdin "{registry}"',
        *(f"          {line}" for line in wish.builds(registry)),
        "      - persist_to_workspace: { root: build, paths: [tag] }",
        "",
    ]
