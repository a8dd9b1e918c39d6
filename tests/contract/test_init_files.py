"""Every file that `init` can write: valid, with inputs that exist, and pinned; every provider on
every CI."""

from __future__ import annotations

import itertools
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from ci_deploy import __version__
from ci_deploy.commands.builds import Image
from ci_deploy.commands.first_steps import first_steps
from ci_deploy.commands.pipelines import ON_DOCKER, PIPELINES, Wish
from standins.support import ROOT
from tests.contract.test_docs import OURS, _uses
from tests.contract.test_manifest import check_schema
from tests.golden import Golden

HOSTS = {
    "dokku": "dokku@dokku.example.com:2222",
    "heroku": "",
    "compose": "deploy@www.example.com",
    "swarm": "deploy@manager.example.com",
}
IMAGES = {
    "none": (),
    "one": (Image("${DOCKER_REGISTRY}/acme/shop"),),
    "two": (
        Image("registry.example.com/acme/shop/app", "api", "docker/app.Dockerfile"),
        Image("registry.example.com/acme/shop/web", ".", target="web"),
    ),
}
COMPOSE = {"none": (), "one": ("compose.yaml",), "two": ("compose.yaml", "prod/compose.yaml")}
PUBLISHED = "ghcr.io/ci-deploy/ci-deploy"
IMAGES_OF_CI = dict.fromkeys(PIPELINES, PUBLISHED) | {
    "gitlab": "registry.gitlab.com/ci-deploy/ci-deploy"
}
FETCHED = re.compile(r"https://gitlab\.com/ci-deploy/ci-deploy/-/raw/(.+)/templates/(.+)\.yml")
SCHEMAS = {
    "gitlab": ("--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"),
    "github": ("--builtin-schema", "vendor.github-workflows"),
    "circleci": ("--builtin-schema", "vendor.circle-ci"),
}


def wishes(ci: str) -> dict[str, Wish]:
    """Everything that can be asked for on a CI: a name → the wish."""
    made = {}
    names = (("production",), ("staging", "production"), ("dev", "staging", "live"))
    for provider, environments, review, images in itertools.product(
        HOSTS, names, (False, True), IMAGES
    ):
        if provider not in ON_DOCKER and images != "none":
            continue
        name = f"{ci}-{provider}-{len(environments)}-{review}-{images}".lower()
        made[name] = Wish(
            ci=ci,
            provider=provider,
            host=" ".join([HOSTS[provider]] * (2 if provider in ON_DOCKER and review else 1)),
            app="shop.example.com" if provider == "dokku" else "shop",
            environments=environments,
            review=review,
            branch="main",
            web=f"https://{'git.example.com' if environments[2:] else f'{ci}.com'}/acme/shop",
            framework="django" if environments[2:] else "rails" if environments[1:] else "",
            named=len(environments) > 2,
            manage="poetry run python src/manage.py" if environments[2:] else "",
            images=IMAGES[images],
            folder="apps/shop" if environments[2:] else "",
            compose=COMPOSE[images],
            run_service="web" if images == "two" else "",
            services=("postgres", "redis") if provider == "dokku" and environments[1:] else (),
        )
    return made


ALL = [wish for ci in PIPELINES for wish in wishes(ci).values()]
EVERY = {name: wish for ci in PIPELINES for name, wish in wishes(ci).items()}


def text_of(wish: Wish) -> str:
    return PIPELINES[wish.ci][1](wish)


@cache
def read(wish: Wish) -> Any:
    return YAML(typ="safe", pure=True).load(text_of(wish))


@cache
def inputs_of(component: str) -> dict[str, dict[str, Any]]:
    """The inputs of a component, or of an action: the name of a provider, or nothing."""
    load = YAML(typ="safe", pure=True).load
    if (action := ROOT / component / "action.yml").exists():
        return dict(load(action.read_text())["inputs"])
    spec = (ROOT / f"templates/{component}.yml").read_text().split("\n---\n")[0]
    return dict(load(spec)["spec"]["inputs"])


@pytest.mark.parametrize("ci", PIPELINES)
def test_every_file_follows_its_schema(ci: str, tmp_path: Path) -> None:
    for name, wish in wishes(ci).items():
        (tmp_path / f"{name}.yml").write_text(text_of(wish))
    paths = sorted(map(str, tmp_path.glob("*.yml")))
    assert len(paths) >= 15
    assert check_schema(*SCHEMAS[ci], *paths) == ""


@pytest.mark.parametrize("name", EVERY)
def test_it_uses_what_there_is_and_pins_it(name: str) -> None:
    wish = EVERY[name]
    text, found = text_of(wish), read(wish)
    ours = 0
    for what, inputs in _uses(found):
        if fetched := FETCHED.fullmatch(what):  # from another GitLab than the one it is on
            what = f"ci-deploy/ci-deploy/{fetched[2]}@{fetched[1]}"
        if not (match := OURS.search(what)):
            continue
        ours += 1
        assert bool(fetched) is (wish.ci == "gitlab" and "git.example.com" in wish.web)
        known = inputs_of(match[1] or "")
        if wish.ci == "gitlab":
            for key, value in inputs.items():
                kind = known[key].get("type", "string")
                assert isinstance(value, bool if kind == "boolean" else str), key
                assert value in known[key].get("options", [value]), key
        assert set(inputs) <= set(known)
        assert match[2].removeprefix("v") == __version__
    assert ours >= (0 if wish.ci == "circleci" else 3)
    for image in re.findall(r"(?:ghcr\.io|registry\.gitlab\.com)/ci-deploy/\S+", text):
        assert image.endswith(f":{__version__}")
        assert image.startswith(
            (f"{IMAGES_OF_CI[wish.ci]}/{wish.provider}:", f"{PUBLISHED}/compose:")
        )
    for value in re.findall(r"\$\{\{ (secrets|vars)\.(\w+) }}", text):
        assert value[1] in "\n".join(first_steps(wish)), value
    assert re.search(r"^# Written by `ci-deploy init`", text)


@pytest.mark.parametrize("name", EVERY)
def test_each_environment_has_its_app_and_waits_for_nobody_elses_job(name: str) -> None:
    wish = EVERY[name]
    text = text_of(wish)
    for environment in wish.environments:
        assert re.search(rf"[:\s]{re.escape(wish.app_of(environment))}$", text, re.M)
    assert len({*map(wish.app_of, wish.environments)}) == len(wish.environments)
    if wish.ci != "gitlab":  # there the component does it
        assert (
            text.count("cancel-in-progress: false" if wish.ci == "github" else "serial-group") > 1
        )
    for command in ("plan", "rollback"):
        assert command in text
    assert ("review" in text) is wish.review


@pytest.mark.parametrize("name", EVERY)
def test_what_is_left_to_do_is_told_in_the_form_that_the_ci_takes(name: str) -> None:
    wish = EVERY[name]
    told = "\n".join(first_steps(wish))
    assert "ci-deploy doctor" in told
    assert "https://" in told
    if wish.provider == "heroku":
        assert "heroku authorizations:create" in told
        assert "SSH_PRIVATE_KEY" not in told
    else:
        assert "ssh-keygen -t ed25519" in told
        assert "SSH_SERVER_HOSTKEYS" in told
        assert ("base64" in told) is (wish.ci != "github")
    for environment in wish.environments:
        if wish.provider not in ON_DOCKER:
            assert f"apps:create {wish.app_of(environment)}" in told


@pytest.mark.parametrize("name", EVERY)
def test_a_token_is_asked_for_where_something_uses_it(name: str) -> None:
    """GitLab's plan never got `plan-comment`: the token was asked for, and nothing was posted."""
    wish = EVERY[name]
    text, told = text_of(wish), "\n".join(first_steps(wish))
    asked = set(
        re.findall(r"\b(?:SSH|HEROKU|DOCKER|COMMENT)_[A-Z_]+\b", told.partition("Check every")[0])
    )
    if wish.ci == "gitlab":
        [plan] = [each for each in read(wish)["include"] if "/plan" in str(each)]
        assert plan["inputs"]["plan-comment"] == "true"
        assert "COMMENT_TOKEN" in asked
    else:
        assert "COMMENT_TOKEN" not in asked, "GitHub's own token will do; CircleCI's plan is a log"
        assert ("comment-token: ${{ github.token }}" in text) is (wish.ci == "github")
    server = {"SSH_PRIVATE_KEY", "SSH_SERVER_HOSTKEYS"}
    assert asked & {*server, "HEROKU_API_KEY"} == (
        {"HEROKU_API_KEY"} if wish.provider == "heroku" else server
    )
    login = "DOCKER_PASS" in text if wish.ci != "gitlab" else '"$DOCKER_USER"' in text
    if wish.ci == "github":
        login = "secrets.DOCKER_PASS" in text
    assert ({"DOCKER_USER", "DOCKER_PASS"} <= asked) is login


@pytest.mark.parametrize("ci", PIPELINES)
@pytest.mark.parametrize("provider", HOSTS)
def test_first_steps_as_they_are_read(ci: str, provider: str, golden: Golden) -> None:
    images = "two" if provider in ON_DOCKER else "none"
    wish = EVERY[f"{ci}-{provider}-2-true-{images}"]
    wish = wish._replace(web="https://github.com/acme/shop") if ci == "circleci" else wish
    golden(f"init/{ci} {provider}", "\n".join(first_steps(wish)))


@pytest.mark.parametrize(
    ("ci", "web", "line"),
    [
        ("github", "https://github.com/a/b", "https://github.com/a/b/settings/secrets/actions"),
        ("github", "https://ghe.example.com/a/b", "(On Gitea and Forgejo, these pages are"),
        ("github", "https://codeberg.org/a/b", "https://codeberg.org/a/b/settings/actions/secrets"),
        ("github", "https://gitea.acme.org/a/b", "gitea.acme.org/a/b/settings/actions/variables"),
        ("github", "", "Add the secrets: the project/settings/secrets/actions"),
        ("circleci", "https://github.com/acme/b", "organization/github/acme/contexts"),
        ("circleci", "https://bitbucket.org/acme/b", "organization/bitbucket/acme/contexts"),
        (
            "circleci",
            "https://gitlab.com/acme/b",
            ": Organization Settings > Contexts, at https://",
        ),
        ("circleci", "", ": Organization Settings > Contexts, at https://app.circleci.com"),
        ("gitlab", "https://gitlab.com/a/b", "https://gitlab.com/a/b/-/settings/access_tokens"),
        ("gitlab", "https://git.acme.org/a/b", "https://git.acme.org/a/b/-/settings/access_tokens"),
    ],
)
def test_pages_for_secrets_are_where_the_platform_has_them(ci: str, web: str, line: str) -> None:
    wish = EVERY[f"{ci}-dokku-1-false-none"]._replace(web=web)
    told = "\n".join(first_steps(wish))
    assert line in told
    others = ("codeberg", "gitea")  # which have no environments
    assert ("settings/environments" in told) is (ci == "github" and not any(map(web.count, others)))
    assert ("personal_access_tokens" in told) is ("gitlab.com" in web and ci == "gitlab")


@pytest.mark.parametrize("ci", PIPELINES)
def test_a_swarm_has_a_stack_for_each_environment_and_no_directories(ci: str) -> None:
    wish = EVERY[f"{ci}-swarm-2-false-one"]
    text, told = text_of(wish), "\n".join(first_steps(wish))
    named = {"gitlab": "deploy-swarm@", "github": "ci-deploy/swarm@", "circleci": "/swarm:"}
    assert named[ci] in text
    assert not re.search(r"(?i)deploy.path", text)
    assert "docker node ls" in told
    assert "-e DEPLOY_PROVIDER=swarm" in told
    assert f"/swarm:{__version__} ci-deploy doctor" in told


def test_a_deploy_to_the_last_of_several_environments_is_somebodys_decision() -> None:
    for wish in ALL:
        found, several = read(wish), len(wish.environments) > 1
        last = wish.environments[-1]
        if wish.ci == "gitlab":
            [job] = [
                each["inputs"]
                for each in found["include"]
                if each["inputs"].get("job-name") == f"deploy:{last}"
            ]
            assert (job.get("when") == "manual") is several
        elif wish.ci == "github":
            condition = found["jobs"][f"deploy-{last}"]["if"]
            assert ("github.ref_type == 'tag'" in condition) is several
        else:
            jobs = [each for each in found["workflows"]["deploy"]["jobs"] if isinstance(each, dict)]
            assert any("approve" in each for each in jobs) is several


def test_names_that_yaml_takes_for_something_else_stay_texts() -> None:
    for app in ("123", "1e5", "no", "null", "0x1f"):
        for ci, (_, pipeline) in PIPELINES.items():
            wish = Wish(ci, "dokku", "10.0.0.1", app, ("on",), review=False, branch="1.0")
            found = json.dumps(YAML(typ="safe", pure=True).load(pipeline(wish)))
            assert json.dumps(app) in found
            assert '"10.0.0.1"' in found
            assert '"on"' in found


def test_a_registry_of_their_own_is_named_to_every_job_that_logs_in_there() -> None:
    """Without it the hosts logged in at Docker Hub, with the user and password of another."""
    for wish in ALL:
        if wish.images and wish.registry:
            text = text_of(wish)
            named = re.findall(r"(?i)docker.registry: registry\.example\.com$", text, re.M)
            jobs = text.count("    inputs:\n") if wish.ci == "gitlab" else 1
            assert len(named) >= jobs
            assert '--tag "registry.example.com/acme/shop/app:$TAG"' in text


def test_images_are_built_before_a_plan_that_asks_the_registry_for_them() -> None:
    """Swarm's does; it failed in each pull request, of whose commit nobody had built images."""
    for wish in ALL:
        builds, found = bool(wish.images) and wish.provider == "swarm", read(wish)
        if wish.ci == "github":
            plan = found["jobs"]["plan"]
            assert ("docker build" in str(plan["steps"])) is builds
            assert (plan["permissions"].get("packages") == "write") is builds
        elif wish.ci == "circleci":
            uses = [each for each in found["workflows"]["deploy"]["jobs"] if "ci-deploy" in each]
            [plan] = [each["ci-deploy"] for each in uses if each["ci-deploy"]["name"] == "plan"]
            assert ((plan.get("requires"), plan.get("tag")) == (["build"], "build/tag")) is builds
            built = [
                each["build"] for each in found["workflows"]["deploy"]["jobs"] if "build" in each
            ]
            assert all("filters" not in each for each in built) or not builds


def test_images_are_built_before_whatever_deploys_them() -> None:
    """With the revision that the deploy takes: GITHUB_SHA of a pull request is another one."""
    for wish in ALL:
        text = text_of(wish)
        assert ("docker build" in text) is bool(wish.images)
        if wish.images and wish.ci == "github":
            jobs = read(wish)["jobs"]
            for name in [f"deploy-{each}" for each in wish.environments] + ["review"] * wish.review:
                assert "docker build" in jobs[name]["steps"][1]["run"]
                assert jobs[name]["permissions"]["packages"] == "write"
            assert '-e "GITHUB_SHA=$SHA"' in text
            condition = "!github.event.pull_request.head.repo.fork"
            assert not wish.review or condition in jobs["review"]["steps"][1]["if"]
        elif wish.images and wish.ci == "gitlab":
            rules = [each["if"] for each in read(wish)["build"]["rules"]]
            in_requests = wish.review or wish.provider == "swarm"
            assert ("$CI_PIPELINE_SOURCE == 'merge_request_event'" in rules) is in_requests
        elif wish.images:
            for each in read(wish)["workflows"]["deploy"]["jobs"]:
                use = each.get("ci-deploy", {})
                if use.get("command") in {"deploy", "review"}:
                    assert use["tag"] == "build/tag"
                    assert {"build", "approve", *(f"deploy-{e}" for e in wish.environments)} & {
                        *use["requires"]
                    }
