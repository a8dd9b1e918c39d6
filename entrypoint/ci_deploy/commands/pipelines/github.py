"""The workflow file of GitHub Actions, also for Gitea and Forgejo."""

from __future__ import annotations

import json
from collections.abc import Mapping

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
from ci_deploy.commands.published import GITHUB, IMAGES

# A fork's token may push no image; there `review` itself says so, and is green.
OPEN_AND_OURS = "github.event.action != 'closed' && !github.event.pull_request.head.repo.fork"


def github(wish: Wish) -> str:
    """The text of the workflow file. A commit of the branch deploys to each environment; if there
    are several, to all but the last, to which a tag `v…` deploys."""
    tags = len(wish.environments) > 1
    types = "[opened, reopened, synchronize, closed]" if wish.review else ""
    choice = [
        "      environment:",
        "        type: choice",
        f"        options: [{', '.join(map(scalar, reversed(wish.environments)))}]",
        "        required: true",
    ]
    lines = [*head(wish), "name: Deploy", "on:", "  push:"]
    lines += [f"    branches: [{json.dumps(wish.branch)}]"]
    lines += ['    tags: ["v*"]'] if tags else []
    lines += ["  pull_request:", *([f"    types: {types}"] if types else [])]
    lines += ["  workflow_dispatch: # manually, from the Actions page", "    inputs:"]
    lines += ["      command:", "        type: choice"]
    lines += ["        options: [rollback, status, history, doctor]", "        required: true"]
    lines += [*(choice if tags else []), "", "permissions:", "  contents: read", "", "jobs:"]
    for name in wish.environments:
        lines += _github_deploy(wish, name, tags=tags)
    lines += _github_plan(wish)
    lines += _github_by_hand(wish, tags=tags)
    lines += _github_review(wish) if wish.review else []
    return "\n".join(lines).rstrip() + "\n"


def _github_deploy(wish: Wish, name: str, *, tags: bool) -> list[str]:
    last = name == wish.environments[-1]
    ref = f" && github.ref_type == '{'tag' if last else 'branch'}'" if tags else ""
    when = "each tag v…" if tags and last else f"each commit of {wish.branch}"
    rights = ["    permissions: { contents: read, packages: write }"] if wish.images else []
    url = "${{ steps.deploy.outputs.url }}"
    return [
        f"  deploy-{name}: # {when}",
        f"    if: github.event_name == 'push'{ref}",
        "    runs-on: ubuntu-latest",
        *rights,
        f"    environment: {{ name: {scalar(name)}, url: '{url}' }}",
        f"    concurrency: {{ group: deploy-{name}, cancel-in-progress: false }}",
        "    steps:",
        *_checkout(),
        *(_github_build(wish) if wish.images else []),
        *_action(wish, {"deploy-environment": scalar(name)}, wish.settings(name), number="deploy"),
        "",
    ]


def _github_plan(wish: Wish) -> list[str]:
    first = wish.environments[0]
    closed = " && github.event.action != 'closed'" if wish.review else ""
    given = {"command": "plan", "deploy-environment": scalar(first)}
    comment = {"comment-token": "${{ github.token }}", "plan-comment": "true"}
    images = "packages: write, " if wish.plans_images else ""
    return [
        "  plan: # in pull requests: what a deploy would change; nothing is changed",
        f"    if: github.event_name == 'pull_request'{closed}",
        "    runs-on: ubuntu-latest",
        f"    permissions: {{ contents: read, {images}pull-requests: write }} # the comment",
        "    steps:",
        *_checkout("${{ github.event.pull_request.head.sha }}"),
        *(_github_build(wish, unless_closed=True) if wish.plans_images else []),
        *_action(wish, given, wish.settings(first), more=comment),
        "",
    ]


def _github_by_hand(wish: Wish, *, tags: bool) -> list[str]:
    last = wish.environments[-1]
    chosen = "${{ inputs.environment }}" if tags else last
    settings = inputs(own(quiet(wish.settings(last))))
    if tags:
        for name in ("app-name", "deploy-path"):
            if name in settings:
                settings[name] = _chosen_app(wish)
    given = {"command": "${{ inputs.command }}", "deploy-environment": chosen}
    return [
        "  by-hand: # rollback returns to the previous release, and verifies it",
        "    if: github.event_name == 'workflow_dispatch'",
        "    runs-on: ubuntu-latest",
        f"    environment: {chosen if tags else scalar(last)}",
        f"    concurrency: {{ group: 'deploy-{chosen}', cancel-in-progress: false }}",
        "    steps:",
        *_checkout(),
        *_step({**given, **settings}, wish),
        "",
    ]


def _chosen_app(wish: Wish) -> str:
    """`inputs.environment == 'a' && 'app-a' || … || 'app'` as an expression of GitHub's."""
    *others, _last = wish.environments
    parts = [f"inputs.environment == '{name}' && '{wish.app_of(name)}'" for name in others]
    return f"${{{{ {' || '.join([*parts, repr(wish.app)])} }}}}"


def _github_review(wish: Wish) -> list[str]:
    given = {"command": "${{ github.event.action == 'closed' && 'destroy' || 'review' }}"}
    tokens = {"comment-token": "${{ github.token }}", "deployments-token": "${{ github.token }}"}
    return [
        "  review: # a separate app for each pull request, removed when it is closed",
        "    if: github.event_name == 'pull_request'",
        "    runs-on: ubuntu-latest",
        "    permissions: # the comment and the deployment that the pull request shows",
        "      contents: read",
        "      pull-requests: write",
        "      deployments: write",
        *(["      packages: write"] if wish.images else []),
        "    concurrency:",
        "      group: review-${{ github.event.number }}",
        "      cancel-in-progress: false",
        "    steps:",
        *_checkout("${{ github.event.pull_request.head.sha }}", unless_closed=True),
        *(_github_build(wish, unless_closed=True) if wish.images else []),
        *_action(wish, given, reviewed(wish), more=tokens),
        "",
    ]


def _checkout(ref: str = "", *, unless_closed: bool = False) -> list[str]:
    return [
        "      - uses: actions/checkout@v6",
        *(["        if: github.event.action != 'closed'"] if unless_closed else []),
        "        with:",
        *([f"          ref: {ref}"] if ref else []),
        "          fetch-depth: 0",
        "          persist-credentials: false",
    ]


def _action(
    wish: Wish,
    given: Mapping[str, str],
    settings: Mapping[str, str],
    *,
    number: str = "",
    more: Mapping[str, str] | None = None,
) -> list[str]:
    return _step({**given, **inputs(own(settings))}, wish, number=number, more=more or {})


def _step(
    given: Mapping[str, str], wish: Wish, *, number: str = "", more: Mapping[str, str] | None = None
) -> list[str]:
    tokens = {"heroku-api-key": "${{ secrets.HEROKU_API_KEY }}"}
    if wish.provider != "heroku":
        tokens = {
            "ssh-private-key": "${{ secrets.SSH_PRIVATE_KEY }}",
            "ssh-server-hostkeys": "${{ vars.SSH_SERVER_HOSTKEYS }}",
        }
    if wish.images:
        registry, user, password = _github_registry(wish)
        tokens |= {"docker-registry": registry, "docker-user": user, "docker-pass": password}
    return [
        f"      - uses: {GITHUB}/{wish.provider}@v{__version__}",
        *([f"        id: {number}"] if number else []),
        "        with:",
        *mapping({**given, **tokens, **(more or {})}, "          "),
    ]


def _github_registry(wish: Wish) -> tuple[str, str, str]:
    if not wish.foreign:
        return "ghcr.io", "${{ github.actor }}", "${{ github.token }}"
    return wish.registry, "${{ secrets.DOCKER_USER }}", "${{ secrets.DOCKER_PASS }}"


def _github_build(wish: Wish, *, unless_closed: bool = False) -> list[str]:
    registry, user, password = _github_registry(wish)
    return [
        "      - name: Build and push, with the tag that the deploy uses",
        *([f"        if: {OPEN_AND_OURS}"] if unless_closed else []),
        "        env:",
        "          SHA: ${{ github.event.pull_request.head.sha || github.sha }}",
        f"          DOCKER_USER: {user}",
        f"          DOCKER_PASS: {password}",
        "        run: |",
        "          TAG=$(docker run --rm -e GITHUB_ACTIONS -e GITHUB_RUN_NUMBER \\",
        '            -e "GITHUB_SHA=$SHA" \\',
        f"            {IMAGES}/compose:{__version__} ci-deploy tag)",
        '          echo "$DOCKER_PASS" |',
        f'            docker login --username "$DOCKER_USER" --password-stdin {registry}',
        *(f"          {line}" for line in wish.builds(registry)),
    ]
