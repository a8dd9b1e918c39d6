"""What compose files and pipelines by hand have, as teams bring it along."""

from __future__ import annotations

import json

from standins.compose.app import App
from standins.host_app import FILE

STEADY = {"COMPOSE_STEADY_TIME": "1"}
CI = {"CIRCLECI": "true", "CIRCLE_BUILD_NUM": "75"}


def _shown(app: App, path: str, service: str = "app") -> str:
    name = f"{app.name}-{service}-1"
    return app.hosts[0].root("docker", "exec", name, "cat", path, check=False).strip()


def test_variables_that_only_the_job_had_are_told(app: App) -> None:
    """`DOCKER_HOST=ssh://` passed all of them on; without a value they are empty, silently."""
    given = 'environment: {A: "${DB_PASSWORD}", B: "${GIVEN}", C: "${EMPTY:-}", D: "a$$b"}'
    app.write(f"{app.small}    {given}\n")
    for done in (app.run("plan", APP_CONFIG="GIVEN=1"), app.deploy("good1", APP_CONFIG="GIVEN=1")):
        assert done.code == 0, done.output
        assert "no value for ${DB_PASSWORD}, so Compose uses an empty one." in done.output
        assert "GIVEN}" not in done.output
    assert app.environ()["A"] == ""
    app.hosts[0].sh(f"echo DB_PASSWORD=by-hand >>{app.name}/.env")
    done = app.deploy("good1", APP_CONFIG="GIVEN=1")
    assert "no value for" not in done.output
    assert app.environ()["A"] == "by-hand"
    app.write(app.small.replace("${DEPLOY_TAG}", "${CI_COMMIT_SHA}"))
    done = app.run("plan")
    assert done.code == 2, done.output
    assert "no value for ${CI_COMMIT_SHA}" in done.output
    assert f"the image of app, `{app.registry.image}:`, is not a valid name." in done.output


def test_all_variables_that_a_file_insists_on_are_named_at_once(app: App) -> None:
    """Compose names only the first, so each job would end with the next one."""
    wanted = "{A: '${A_1:?no}', B: '${B?no}', C: '${C:?no}', D: '${D:?no}'}"
    app.write(f"{app.small}    # ${{X:?}}\n    environment: {wanted}\n")
    app.hosts[0].sh(f"echo C=1 >>{app.name}/.env")
    done = app.run("plan", APP_CONFIG="D=1")
    assert done.code == 2, done.output
    assert "Set ${A_1}, ${B} in APP_CONFIG or in the .env in DEPLOY_PATH" in done.output


def test_profile_is_chosen_by_a_variable(app: App) -> None:
    """`--profile production` of a script."""
    worker = f"  worker:\n    image: {app.registry.image}:good3\n    network_mode: none\n"
    app.write(f"{app.small}{worker}    profiles: [production]\n")
    assert app.deploy("good1", **STEADY).code == 0
    assert not app.containers(0, "worker")
    done = app.deploy("good1", APP_CONFIG="COMPOSE_PROFILES=production", **STEADY)
    assert done.code == 0, done.output
    assert app.versions(0, "worker") == ["good3"]
    assert "2 of 2 containers up" in app.run("status").output


def test_proxy_that_follows_the_app_is_restarted_with_it(app: App) -> None:
    """`docker compose restart nginx` of a script; else it keeps the old address."""
    proxy = (
        f"  proxy:\n    image: {app.registry.image}:good3\n    network_mode: none\n"
        "    depends_on: {app: {condition: service_started, restart: true}}\n"
    )
    app.write(app.small + proxy)
    assert app.deploy("good1", **STEADY).code == 0
    [before] = app.containers(0, "proxy")
    done = app.deploy("good2", **STEADY)
    assert done.code == 0, done.output
    [after] = app.containers(0, "proxy")
    assert after["State"]["StartedAt"] > before["State"]["StartedAt"]
    assert app.versions() == ["good2"]


def test_command_of_a_release_runs_before_anything_is_switched(app: App) -> None:
    """`docker compose run --rm app migrate && docker compose up -d`."""
    assert app.deploy("good1").code == 0
    containers = app.ids()
    done = app.deploy("good2", RELEASE_COMMAND="sh -c 'echo no column in $VERSION; exit 3'")
    assert done.code == 20, done.output
    assert "RELEASE_COMMAND failed with exit code 3" in done.output
    assert "no column in good2" in done.report["lines"]
    assert app.ids() == containers
    done = app.deploy("good2", RELEASE_COMMAND="sh -c 'echo migrated by $VERSION'")
    assert done.code == 0, done.output
    at_step, at_switch = done.output.index("migrated by good2"), done.output.index("Recreate")
    assert at_step < at_switch


def test_whole_checkout_is_mounted(app: App) -> None:
    """`.:/srv` of those who have pulled on the host: it is told that nothing of it is updated."""
    app.hosts[0].sh(f"mkdir {app.name}/src; echo old >{app.name}/src/a.php")
    mounted = f'{app.small}    volumes: [".:/srv"]\n'
    app.checkout.commit("One", {FILE: mounted, "src/a.php": "new\n"})
    for done in (app.run("plan"), app.deploy("good1")):
        assert done.code == 0, done.output
        assert "app mounts DEPLOY_PATH itself: a deployment does not update" in done.output
    assert _shown(app, "/srv/src/a.php") == "old"


def test_compose_file_in_a_directory_names_files_above_it(app: App) -> None:
    """`deploy/docker-compose.prod.yml` with `../nginx`: Docker would make empty directories."""
    volumes = '["../nginx:/nginx:ro", "../top.conf:/top.conf", "../write:/write"]'
    files = {"nginx/a.conf": "a\n", "top.conf": "t\n", "write/w": "w\n"}
    mounted = f"{app.small}    volumes: {volumes}\nconfigs: {{c: {{file: ../top.conf}}}}\n"
    mounted = mounted.replace(
        "    volumes:", "    configs: [{source: c, target: /c}]\n    volumes:"
    )
    app.checkout.commit("One", {"deploy/prod.yml": mounted, **files})
    done = app.deploy("good1", COMPOSE_FILE="deploy/prod.yml")
    assert done.code == 0, done.output
    assert [_shown(app, each) for each in ("/nginx/a.conf", "/top.conf", "/c", "/write/w")] == [
        "a", "t", "t", "",
    ]  # fmt: skip
    assert "../write, which is above DEPLOY_PATH" in done.output
    app.hosts[0].root("rmdir", "/home/deploy/write")


def test_file_that_the_job_has_made_from_its_secrets_comes_too(app: App) -> None:
    """`echo "$KEY" >key.json`, and an env file that is not called `.env`."""
    lists = "env_file: [.env, prod.env]\n    volumes: ['./key.json:/key.json:ro']"
    app.write(app.small.replace("env_file: .env", lists))
    (app.checkout.path / "prod.env").write_text("MODE=prod\n")
    (app.checkout.path / "key.json").write_text('{"key": 1}\n')
    done = app.deploy("good1")  # by hand: what is not committed is not meant
    assert done.code == 2
    assert "let the job create it in the checkout" in done.output
    done = app.deploy("good1", **CI)
    assert done.code == 0, done.output
    assert "key.json is not committed: the one in the checkout is used." in done.output
    assert (app.environ()["MODE"], json.loads(_shown(app, "/key.json"))) == ("prod", {"key": 1})


def test_own_image_that_nobody_can_have_pushed_is_refused_by_plan(app: App) -> None:
    """`build` with `image: nginx` was made on the host by `up --build`; pulled, it is another."""
    app.write(
        app.small.replace("image:", "build: .\n    image:").replace(app.registry.image, "shop")
    )
    done = app.run("plan")
    assert done.code == 2, done.output
    assert "app has `build`, but its image `shop:good1` cannot be pushed" in done.output
    worker = (
        f"  worker:\n    build: .\n    image: {app.registry.image}:good3\n    network_mode: none\n"
    )
    app.write(app.small + worker)
    assert "! deployments do not replace the image of worker, which" in app.run("plan").output


def test_env_of_the_checkout_is_not_sent_unless_it_is_named(app: App) -> None:
    """Templates commit one, jobs make one; the host's counts, which it does not have here."""
    app.hosts[0].sh(f"rm {app.name}/.env")
    given = 'environment: {V: "${VERSION:-16}"}'
    app.checkout.commit("One", {FILE: f"{app.small}    {given}\n", ".env": "VERSION=17\n"})
    done = app.run("plan")
    assert done.code == 2
    assert "the .env of the checkout is not sent to the hosts" in done.output
    assert "have no value there: ${VERSION}. Set" in done.output
    assert "set APP_CONFIG (`APP_CONFIG_FILE=.env` uses that of the checkout" in done.output
    done = app.deploy("good1", APP_CONFIG_FILE=".env")
    assert done.code == 0, done.output
    assert "is not sent" not in done.output
    assert app.environ()["V"] == app.environ()["VERSION"] == "17"
