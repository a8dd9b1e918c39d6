"""`ci-deploy init` in a checkout: what it asks, writes and leaves alone, and that what it has
written deploys."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from typing import Any

import pytest
from ruamel.yaml import YAML

from standins.dokku.client import Client
from standins.dokku.server import DokkuStandIn
from standins.support import BIN, Checkout, Done, run, settings_for
from tests.contract.test_manifest import rendered

FILES = {
    "gitlab": ".gitlab-ci.yml",
    "github": ".github/workflows/deploy.yml",
    "circleci": ".circleci/config.yml",
}
FLAGS = ("--yes", "--provider", "dokku", "--host", "dokku@dokku.example.com", "--app", "hello")


def init(checkout: Checkout, *options: str) -> Done:
    return run("ci-deploy", "init", *options, cwd=checkout.path, env={})


def remote(checkout: Checkout, url: str, name: str = "origin") -> None:
    checkout.git("remote", "add", name, url)


# --- what it sees ---


@pytest.mark.parametrize(
    ("url", "files", "ci"),
    [
        ("git@github.com:acme/shop.git", {}, "github"),
        ("https://x:y@gitlab.example.com/group/sub/shop.git", {}, "gitlab"),
        ("ssh://git@github.acme.example.com:2222/acme/shop", {}, "github"),
        ("git@github-personal:acme/shop.git", {}, "github"),  # an alias of ~/.ssh/config
        ("git@github.com:acme/shop.git", {".circleci/x": ""}, "circleci"),
        ("git@gitlab.com:acme/shop.git", {".github/workflows/x.yml": ""}, "gitlab"),  # a mirror
        ("git@git.example.com:acme/shop.git", {".github/workflows/x.yml": ""}, "github"),
    ],
)
def test_the_ci_is_found_from_remote_and_files(
    checkout: Checkout, url: str, files: dict[str, str], ci: str
) -> None:
    remote(checkout, url)
    checkout.commit("Files", files)
    done = init(checkout, *FLAGS)
    assert done.code == 0, done.output
    assert f"wrote {FILES[ci]}: " in done.output
    assert "x:y@" not in done.output
    text = (checkout.path / FILES[ci]).read_text()
    fetched = "- remote: https://gitlab.com/ci-deploy/ci-deploy/-/raw/"  # another GitLab has none
    assert (fetched in text) is ("gitlab.example.com" in url)


def test_where_nothing_tells_the_ci_it_is_asked_for_by_its_option(checkout: Checkout) -> None:
    remote(checkout, "git@git.example.com:acme/shop.git")
    done = init(checkout, *FLAGS)
    assert done.code == 2
    assert "add --ci gitlab or github or circleci" in done.output
    assert checkout.git("status", "--porcelain") == "", "a report of that would be litter"


@pytest.mark.parametrize(
    ("url", "name", "expected"),
    [
        ("dokku@dokku.example.com:web", "dokku", ("web", "dokku-host: dokku@dokku.example.com")),
        ("https://git.heroku.com/hello-42.git", "heroku", ("hello-42", "/deploy-heroku@")),
    ],
)
def test_whom_somebody_has_pushed_to_is_what_is_suggested(
    checkout: Checkout, url: str, name: str, expected: tuple[str, str]
) -> None:
    remote(checkout, "git@gitlab.com:acme/shop.git")
    remote(checkout, url, name)
    done = init(checkout, "--yes")
    assert done.code == 0, done.output
    text = (checkout.path / ".gitlab-ci.yml").read_text()
    assert f"app-name: {expected[0]}\n" in text
    assert expected[1] in text


ACTION = """jobs:
  deploy:
    steps:
      - uses: {uses}
        with:
          {target}
"""


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        (
            ".github/workflows/old.yml",
            ACTION.format(
                uses="dokku/github-action@master",
                target="git_remote_url: ssh://dokku@d.example.com:22/shop-1",
            ),
            ["app-name: shop-1", "dokku-host: dokku@d.example.com:22"],
        ),
        (
            ".github/workflows/old.yml",
            ACTION.format(uses="akhileshns/heroku-deploy@v3", target='heroku_app_name: "shop-1"'),
            ["app-name: shop-1", "heroku-api-key"],
        ),
        (
            ".travis.yml",
            "script: dpl --provider=heroku --app=shop-1 --api-key=$KEY\n",
            ["app-name: shop-1", "heroku-api-key"],
        ),
        (
            ".github/workflows/old.yml",
            "run: git push dokku@d.example.com:shop-1 && git push dokku@d.example.com:shop-2\n",
            ["app-name: shop\n", "dokku-host: dokku@given.example.com"],
        ),
        (
            ".github/workflows/old.yml",
            'heroku_app_name: "shop-1"\nusedocker: true\n',
            ["app-name: shop\n", "dokku-host: dokku@given.example.com"],
        ),
    ],
    ids=["Dokku's action", "Heroku action", "dpl", "several", "images, which Heroku cannot verify"],
)
def test_pipeline_of_another_tool_says_where_the_app_is(
    checkout: Checkout, file: str, text: str, expected: list[str]
) -> None:
    checkout.commit("Old", {file: text})
    remote(checkout, "git@github.com:acme/shop.git")
    flags = ("--host", "dokku@given.example.com") if "given" in str(expected) else ()
    done = init(checkout, "--yes", *(("--provider", "dokku") if flags else ()), *flags)
    assert done.code == 0, done.output
    written = (checkout.path / FILES["github"]).read_text()
    assert [part for part in expected if part not in written] == []


def test_framework_compose_file_and_branch_are_found(checkout: Checkout) -> None:
    rails = {"Gemfile": "", "config/application.rb": "", "Procfile": "web: bin/rails s\n"}
    image = "services: { app: {\n  image: '${DOCKER_REGISTRY}/acme/shop:${DEPLOY_TAG}' } }\n"
    checkout.commit("Rails", {**rails, "compose.yaml": image})
    checkout.git("branch", "-m", "master")
    remote(checkout, "git@github.com:acme/shop.git")
    done = init(checkout, "--yes", "--host", "deploy@www.example.com")
    assert done.code == 0, done.output
    text = (checkout.path / FILES["github"]).read_text()
    for part in (
        'branches: ["master"]',
        "server-host: deploy@www.example.com",
        "app-name: shop",
        'auto-migrate-on-deploy: "true"',
        'docker build --push --tag "ghcr.io/acme/shop:$TAG" .',
        "packages: write",
    ):
        assert part in text, part
    checkout.commit("Release", {"Procfile": "release: bin/rails db:migrate\n"})
    done = init(checkout, *FLAGS, "--print")
    assert "auto-migrate" not in done.output, "the release task does that"


def test_several_hosts_an_app_in_a_folder_and_its_services_are_taken(checkout: Checkout) -> None:
    """Compose on two hosts is a page of its own, and `init` refused the second host; of an app in a
    folder it deployed the whole repository; a review app had no database. (faults E4)"""
    remote(checkout, "git@gitlab.com:acme/shop.git")
    image = "services:\n  web:\n    image: ${DOCKER_REGISTRY}/acme/shop:${DEPLOY_TAG}\n"
    rails = {"api/Gemfile": "gem 'rails'\ngem 'pg'\ngem 'sidekiq'\n"}
    checkout.commit("Two", {**rails, "api/config/application.rb": "", "web/compose.yaml": image})
    hosts = ("--provider", "compose", "--host", "deploy@10.0.0.1, deploy@[2001:db8::2]:2222")
    done = run("ci-deploy", "init", "--yes", *hosts, cwd=checkout.path / "web", env={})
    assert done.code == 0, done.output
    text = (checkout.path / ".gitlab-ci.yml").read_text()
    assert 'server-host: "deploy@10.0.0.1 deploy@[2001:db8::2]:2222"' in text
    assert "app-dir: web" in text
    assert '--tag "$CI_REGISTRY/acme/shop:$TAG" web' in text
    assert "ssh -p 2222 deploy@2001:db8::2 '" in done.output, "ssh takes no brackets there"
    assert "the fingerprints of all" in done.output
    remote(checkout, "ssh://dokku@dokku.example.com:2222/shop", "dokku")
    done = run(
        "ci-deploy", "init", "--yes", "--force", "--review", cwd=checkout.path / "api", env={}
    )
    assert done.code == 0, done.output
    text = (checkout.path / ".gitlab-ci.yml").read_text()
    assert "dokku-host: dokku@dokku.example.com:2222" in text
    assert text.count("app-dir: api") == 4
    assert text.count('dokku-services: "postgres redis"') == 1, "of the review app alone"
    assert "dokku postgres:link shop-postgres shop" in done.output
    assert "git rev-parse --show-toplevel" in done.output


def test_a_compose_file_that_only_builds_is_what_is_to_be_mended_first(checkout: Checkout) -> None:
    """The pipeline that was written could not deploy it, and nothing said so. (faults E4)"""
    remote(checkout, "git@github.com:acme/shop.git")
    checkout.commit("Build", {"docker-compose.yml": "services:\n  web:\n    build: .\n"})
    done = init(checkout, "--yes", "--host", "deploy@10.0.0.1")
    assert done.code == 0, done.output
    assert "1. Name the app's image in docker-compose.yml" in done.output
    assert "image: ${DOCKER_REGISTRY}/acme/shop:${DEPLOY_TAG}" in done.output


MANAGE = "os.environ['DJANGO_SETTINGS_MODULE'] = 'shop.settings'\n"


def test_a_django_app_below_the_top_is_found_and_what_is_made_of_it_said(
    checkout: Checkout,
) -> None:
    """manage.py was looked for in the directory of the run alone (issue 18)."""
    remote(checkout, "git@gitlab.com:acme/shop.git")
    files = {"src/manage.py": MANAGE, "pyproject.toml": "", ".venv/lib/manage.py": MANAGE}
    checkout.commit("Django", files)
    done = init(checkout, *FLAGS)
    assert done.code == 0, done.output
    assert "found: Django (src/manage.py)\n" in done.output
    assert (
        "call `python src/manage.py migrate` in the release (DJANGO_MANAGE_COMMAND)" in done.output
    )
    text = (checkout.path / FILES["gitlab"]).read_text()
    assert "deploy-application: django" in text
    assert 'django-manage-command: "python src/manage.py"' in text
    assert "app-dir" not in text
    checkout.git("rm", "--quiet", "Procfile")
    done = init(checkout, *FLAGS, "--print")
    assert "Nothing says which process to run: add a Procfile" in done.errors
    checkout.commit("Procfile", {"Procfile": "web: cd src; uv run python manage.py runserver\n"})
    done = init(checkout, *FLAGS, "--print")
    assert 'django-manage-command: "uv run python manage.py"' in done.output, "as the app calls it"


def test_which_of_several_apps_is_meant_is_asked_and_never_guessed(checkout: Checkout) -> None:
    remote(checkout, "git@gitlab.com:acme/shop.git")
    rails = {"api/Gemfile": "", "api/config/application.rb": ""}
    checkout.commit("Two", {**rails, "ml/manage.py": MANAGE, "ml/requirements.txt": "django\n"})
    checkout.git("rm", "--quiet", "Procfile")
    done = init(checkout, *FLAGS)
    assert done.code == 2
    assert (
        "an option is missing:\n  --folder: The app's directory (api or ml)\nAdd it" in done.output
    )
    for wrong in ("x", "../api", "/", ""):
        done = init(checkout, *FLAGS, "--folder", wrong)
        assert done.code == 2, wrong
        assert f"--folder: `{wrong}` is not a directory of the repository" in done.output
    done = init(checkout, *FLAGS, "--folder", "./ml/")
    assert done.code == 0, done.output
    assert "found: the app in ml, Django (manage.py)\n" in done.output
    text = (checkout.path / FILES["gitlab"]).read_text()
    assert "app-dir: ml" in text
    assert "django-manage-command" not in text
    done = init(checkout, *FLAGS, "--folder", ".", "--print")
    assert done.code == 0, done.output
    assert "the app could be api (Rails) or ml (Django)" in done.output + done.errors
    assert "auto-migrate" not in done.output


def test_a_compose_file_elsewhere_is_found_and_of_several_one_is_named(checkout: Checkout) -> None:
    remote(checkout, "git@github.com:acme/shop.git")
    image = "    image: acme/shop:${DEPLOY_TAG}\n    build: { context: .. }\n"
    app = f"services:\n  web:\n{image}"
    checkout.commit("Compose", {"deploy/compose.yml": app, "manage.py": MANAGE})
    host = ("--yes", "--host", "deploy@www.example.com")
    done = init(checkout, *host)
    assert done.code == 0, done.output
    assert "compose file deploy/compose.yml, image acme/shop (built from .)" in done.output
    text = (checkout.path / FILES["github"]).read_text()
    assert "compose-file: deploy/compose.yml" in text
    assert "compose-run-service: web" in text
    assert 'docker build --push --tag "docker.io/acme/shop:$TAG" .' in text, "Docker's own registry"
    assert "docker-user: ${{ secrets.DOCKER_USER }}" in text
    assert "DOCKER_USER, DOCKER_PASS: for docker.io" in done.output
    two = app + "  api:\n    image: acme/api:${DEPLOY_TAG}\n    build: ../backend\n"
    checkout.commit("Two", {"deploy/compose.yml": two, "backend/src/manage.py": MANAGE})
    checkout.git("rm", "--quiet", "manage.py")
    text = init(checkout, *host, "--print").output
    assert "compose-run-service: api" in text, "whose image has manage.py"
    assert 'django-manage-command: "python src/manage.py"' in text, "from that image's directory"
    checkout.commit("Another", {"ops/compose.yml": app})
    done = init(checkout, *host, "--provider", "compose", "--force")
    assert done.code == 2
    asked = "--compose: The compose file (deploy/compose.yml or ops/compose.yml)\n"
    assert asked in done.output
    done = init(checkout, *host, "--force", "--compose", "ops/x.yml")
    assert "--compose: `ops/x.yml` is not a file in" in done.output
    done = init(checkout, *host, "--force", "--compose", "ops/compose.yml")
    assert done.code == 0, done.output
    assert "compose-file: ops/compose.yml" in (checkout.path / FILES["github"]).read_text()
    done = init(checkout, *FLAGS, "--print", "--compose", "ops/compose.yml")
    assert done.code == 2
    assert "--compose is for Compose and Swarm, not for dokku" in done.errors


def test_what_the_pipeline_may_build_otherwise_is_said_with_its_line(checkout: Checkout) -> None:
    """Of each image that it could not read, the top of the repository was built."""
    remote(checkout, "git@gitlab.com:acme/shop.git")
    app = "services: {app: {image: 'acme/shop:${DEPLOY_TAG}', build: {BUILD}}}\n"
    flags = ("--yes", "--host", "deploy@h.example.com", "--force")
    build = "context: 'the api', args: {A: 'x: #1', B: \"it's\"}, secrets: [npm]"
    checkout.commit("Args", {"compose.yml": app.replace("BUILD", build), "the api/Dockerfile": ""})
    done = init(checkout, *flags)
    assert done.code == 0, done.output
    text = (checkout.path / FILES["gitlab"]).read_text()
    [line] = YAML(typ="safe", pure=True).load(text)["build"]["script"][-1:]
    quoted = """--build-arg 'A=x: #1' --build-arg 'B=it'"'"'s'"""
    assert line == f"docker build --push {quoted} --tag \"docker.io/acme/shop:$TAG\" 'the api'"
    [number] = [at for at, each in enumerate(text.splitlines(), 1) if "docker build" in each]
    where = f"line {number} of .gitlab-ci.yml"
    assert (
        f"Check how {where} builds the image of app: the line leaves out `secrets`.\n"
        in done.output
    )


def test_a_compose_file_that_is_no_yaml_is_told_where_it_is_needed(checkout: Checkout) -> None:
    remote(checkout, "git@gitlab.com:acme/shop.git")
    checkout.commit("Template", {"compose.yml": "services:\n  app: {{ image }}\n"})
    done = init(checkout, "--yes", "--host", "deploy@h.example.com")
    assert done.code == 2
    assert "COMPOSE_FILE" in done.output
    assert "compose.yml is not valid YAML: line 2: found unhashable key." in done.output
    assert not (checkout.path / FILES["gitlab"]).exists()
    assert init(checkout, *FLAGS).code == 0, "Dokku reads none"


def test_gitea_and_forgejo_get_the_file_where_they_look_for_it(checkout: Checkout) -> None:
    """If they have a directory of their own, they read no other one."""
    remote(checkout, "git@git.example.com:acme/shop.git")
    checkout.commit("Old", {".gitea/workflows/old.yml": ""})
    done = init(checkout, *FLAGS)
    assert done.code == 0, done.output
    assert "wrote .gitea/workflows/deploy.yml" in done.output
    assert "https://git.example.com/acme/shop/settings/actions/secrets\n" in done.output
    assert "git add .gitea/workflows/deploy.yml" in done.output
    checkout.git("remote", "set-url", "origin", "git@github.com:acme/shop.git")
    assert "wrote .github/workflows/deploy.yml" in init(checkout, *FLAGS).output


# --- what it leaves alone ---


def test_a_file_that_is_there_is_replaced_only_by_force(checkout: Checkout) -> None:
    remote(checkout, "git@gitlab.com:acme/shop.git")
    path = checkout.path / ".gitlab-ci.yml"
    path.write_text("mine: { script: [make] }\n")
    done = init(checkout, *FLAGS)
    assert done.code == 2
    assert ".gitlab-ci.yml exists already, and was not changed" in done.output
    assert path.read_text() == "mine: { script: [make] }\n"
    printed = init(checkout, *FLAGS, "--print")
    assert printed.code == 0
    assert path.read_text() == "mine: { script: [make] }\n"
    assert init(checkout, *FLAGS, "--force").code == 0
    assert path.read_text() == printed.output, "--print shows the file and nothing else"
    assert "ci-deploy doctor" in printed.errors
    assert init(checkout, *FLAGS).code == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--yes", "--provider", "docker"), "`docker` is not one of dokku, heroku, compose, swarm"),
        (("--yes", "--provider", "dokku"), "an option is missing:\n  --host: Dokku server\nAdd it"),
        ((*FLAGS[:-1], "My App"), "--app: `My App` is not a valid app name"),
        (
            ("--yes", "--provider", "heroku", "--ci", "gitlab", "--app", "my.app"),
            "--app: `my.app` is not a valid name of a Heroku app: 3 to 30 lower-case letters",
        ),
        ((*FLAGS, "--environments", "a a"), "--environments: give each environment once"),
        (
            (*FLAGS, "--environments", "a/$(id)"),
            "--environments: `a/$(id)` is not a valid environment name",
        ),
        ((*FLAGS, "--host", "a b"), "--host: "),
        (
            (),
            "options are missing:\n  --provider: Provider (dokku or heroku or compose or swarm)\n",
        ),
        ((), "Add them, or run `ci-deploy init` on a terminal to be asked"),
        (
            ("--yes",),
            "  --host: Server (not for Heroku)\nAdd them, or run `ci-deploy init` without",
        ),
        ((*FLAGS[:-2], "--host", "dokku@x:shop"), "the app's name belongs in --app"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_written(
    checkout: Checkout, options: tuple[str, ...], words: str
) -> None:
    remote(checkout, "git@github.com:acme/shop.git")
    done = init(checkout, *options)
    assert done.code == 2, done.output
    assert words in done.output
    assert not (checkout.path / ".github").exists()


def test_it_does_not_write_through_a_link_out_of_the_checkout(
    checkout: Checkout, tmp_path: Any
) -> None:
    remote(checkout, "git@gitlab.com:acme/shop.git")
    victim = tmp_path / "victim"
    victim.write_text("precious\n")
    (checkout.path / ".gitlab-ci.yml").symlink_to(victim)
    assert init(checkout, *FLAGS, "--force").code != 0
    assert victim.read_text() == "precious\n"


# --- what it asks ---


def on_terminal(checkout: Checkout, *answers: str) -> tuple[str, list[str]]:
    """The output of `init` with somebody who answers, and the questions."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [BIN / "ci-deploy", "init"],
        cwd=checkout.path,
        env={"PATH": os.environ["PATH"]},
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    os.close(theirs)
    assert process.stdout is not None
    seen, end = b"", time.monotonic() + 60
    for answer in answers:
        asked = seen.count(b":\n")
        while seen.count(b":\n") == asked and time.monotonic() < end:
            if select.select([process.stdout], [], [], 1)[0]:
                seen += os.read(process.stdout.fileno(), 65536)
        os.write(ours, f"{answer}\n".encode())
    seen += process.communicate(timeout=60)[0]
    output = re.sub(r"\x1b\[\d*m", "", seen.decode())
    assert process.returncode == 0, output
    os.close(ours)
    return output, re.findall(r"^(\w[^\n]*):$", output.partition("wrote ")[0], re.M)


def test_on_a_terminal_it_asks_five_things_and_again_after_nonsense(checkout: Checkout) -> None:
    remote(checkout, "git@github.com:acme/shop.git")
    answers = ["", "dokku@dokku.example.com", "Bad Name", "", "staging production", "y"]
    output, questions = on_terminal(checkout, *answers)
    assert questions == [
        "Provider (dokku or heroku or compose or swarm) [dokku]",
        "Dokku server",
        "Name of the app [shop]",
        "Name of the app [shop]",
        "Environments (of several, the last one is deployed manually or by a tag) [production]",
        "A review app for each change [no]",
    ]
    assert "deploy to staging and production, plan for changes, rollback, review apps" in output
    assert "app-name: shop-staging" in (checkout.path / FILES["github"]).read_text()


RIVALS = dict.fromkeys(("compose.a.yml", "compose.b.yml"), "services: {app: {image: x}}\n")
MONOREPO = {
    **{f"{folder}/{name}": text for folder in ("api", "jobs") for name, text in RIVALS.items()},
    **{f"{folder}/Procfile": "web: true\n" for folder in ("api", "jobs", "site")},
}


@pytest.mark.parametrize(
    ("provider", "place", "found", "written"),
    [
        ("compose", "api/compose.b.yml", "api/compose.a.yml or api/compose.b.yml or jobs/compose.a",
         ["app-dir: api", "compose-file: compose.b.yml", "app-name: shop-api-staging"]),
        ("compose", "jobs/compose.a.yml jobs/compose.b.yml", "or jobs/compose.b.yml or site)",
         ["app-dir: jobs", 'compose-file: "compose.a.yml compose.b.yml"', "app-name: shop-jobs"]),
        ("compose", "site", "or site)", ["app-dir: site", "app-name: shop-site"]),
        ("dokku", "site/", "(api or jobs or site)", ["app-dir: site", "app-name: shop-site"]),
    ],
)  # fmt: skip
def test_in_a_repository_of_several_apps_it_asks_five_things_too(
    checkout: Checkout, provider: str, place: str, found: str, written: list[str]
) -> None:
    """It asked for directory, compose file and name besides: seven things."""
    remote(checkout, "git@github.com:acme/shop.git")
    checkout.git("rm", "--quiet", "Procfile")
    checkout.commit("Apps", MONOREPO)
    nonsense = "api" if provider == "compose" else "gone"
    answers = [provider, nonsense, place, "deploy@h.example.com", "staging production", "y"]
    output, asked = on_terminal(checkout, *answers)
    assert len(set(asked)) == 5, asked
    assert found in asked[1] == asked[2], "asked again after nonsense"
    text = (checkout.path / FILES["github"]).read_text()
    assert [each for each in written if each not in text] == []
    assert re.search(r"^The app is called shop-\w+; `--app` gives it another name\.$", output, re.M)


def test_it_ends_with_doctor_where_the_key_is_at_hand(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout
) -> None:
    """What doctor finds is no failure of `init`: the file is written."""
    remote(checkout, "git@gitlab.com:acme/shop.git")
    secrets = settings_for(dokku)
    host = secrets.pop("DOKKU_HOST")
    del secrets["APP_NAME"]
    flags = ("--yes", "--provider", "dokku", "--host", host, "--app", "shop")
    done = run("ci-deploy", "init", *flags, cwd=checkout.path, env=secrets)
    assert done.code == 0, done.output
    assert "doctor: shop on dokku" in done.output
    assert "! doctor: " in done.output
    assert "apps:create shop" in done.output
    assert secrets["SSH_PRIVATE_KEY"].splitlines()[2] not in done.output
    naive.dokku("apps:create shop")
    done = run("ci-deploy", "init", *flags, "--force", cwd=checkout.path, env=secrets)
    assert done.code == 0, done.output
    assert done.output.endswith("All checks passed.\n")


# --- that it deploys ---


def jobs(checkout: Checkout, ci: str, host: str) -> Any:
    """The file that is written for the stand-in, read."""
    options = ("--yes", "--ci", ci, "--provider", "dokku", "--host", host, "--app", "hello")
    done = init(checkout, *options, "--environments", "staging production")
    assert done.code == 0, done.output
    return YAML(typ="safe", pure=True).load((checkout.path / FILES[ci]).read_text())


def test_what_is_written_deploys_with_the_secrets_alone(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout
) -> None:
    """What each file hands to ci-deploy, with no other setting. All jobs of all CIs run in
    tests/runners/test_what_init_writes.py."""
    naive.dokku("apps:create hello-staging")
    secrets = settings_for(dokku)
    host = secrets.pop("DOKKU_HOST")
    del secrets["APP_NAME"]
    head = checkout.head

    found = jobs(checkout, "gitlab", host)
    [staging] = [
        each["inputs"]
        for each in found["include"]
        if each["inputs"].get("when") != "manual" and "/deploy-dokku@" in each["component"]
    ]
    variables = rendered("templates/deploy-dokku.yml", **staging)["deploy:staging"]["variables"]
    given = {name: value for name, value in variables.items() if isinstance(value, str) and value}
    facts = {"GITLAB_CI": "true", "CI_PROJECT_DIR": str(checkout.path), "CI_COMMIT_SHA": head}
    done = run("deploy", cwd=checkout.path, env={**facts, **given, **secrets})
    assert done.code == 0, done.output
    assert (done.report["app"], done.report["environment"]) == ("hello-staging", "staging")

    found = jobs(checkout, "github", host)
    [step] = [each for each in found["jobs"]["deploy-production"]["steps"] if "id" in each]
    inputs = {
        f"INPUT_{name.upper()}": secrets[value.split(".")[1].rstrip(" }")]
        if "{{" in value
        else value
        for name, value in step["with"].items()
    }
    facts = {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(checkout.path), "GITHUB_SHA": head}
    done = run("deploy", cwd=checkout.path, env={**facts, **inputs})
    assert done.code == 0, done.output
    assert (done.report["app"], done.report["environment"]) == ("hello", "production")
