"""What the containers get: environment, configuration, the project's name."""

from __future__ import annotations

import re

from standins.compose.app import App
from standins.host_app import FILE

NASTY = {
    "PLAIN": "word",
    "DOLLAR": "pa$word1 ${HOME} $$ $(id) \\$x",
    "QUOTES": 'it\'s "quoted" `here` #no comment',
    "BACKSLASH": "a\\b\\n\\\\ end\\",
    "LINES": "-----BEGIN KEY-----\nabc=\n-----END KEY-----\n",
    "EDGES": "  both ends\t ",
    "UNICODE": "Grüße, 世界 🚀",
    "JSON": '{"a": "b\\"c", "d": "$e"}',
    "EMPTY": "",
}


def _dotenv(values: dict[str, str]) -> str:
    """As people write it, in single quotes where that works."""
    lines = []
    for name, value in values.items():
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        lines.append(f"{name}='{escaped}'")
    return "\n".join(lines)


def test_app_config_arrives_byte_for_byte_and_only_where_an_env_file_is(app: App) -> None:
    app.write(app.whole.replace("command:", 'environment: {COPY: "${DOLLAR}"}\n    command:'))
    app.hosts[0].sh(f"rm {app.name}/.env")  # APP_CONFIG stands for it
    done = app.deploy("good1", APP_CONFIG=_dotenv(NASTY))
    assert done.code == 0, done.output
    assert {name: app.environ().get(name) for name in NASTY} == NASTY
    job = app.environ("job")
    assert job["COPY"] == NASTY["DOLLAR"], "variables of the compose file have it too"
    assert not set(NASTY) & set(job)
    mode = app.hosts[0].root("stat", "-Lc", "%a", f"{app.state}/current/app.env").strip()
    assert mode == "600"
    folder = app.hosts[0].root("stat", "-Lc", "%a", f"{app.state}/releases").strip()
    assert folder == "700"


def test_env_by_hand_is_left_alone_and_app_config_lies_on_top(app: App) -> None:
    text = "# mine\nKEPT=by hand\nCHANGED=by hand"  # no line end, as editors leave it
    app.hosts[0].sh(f"printf '%s' '{text}' >{app.name}/.env")
    assert app.deploy("good1", APP_CONFIG="CHANGED=by CI\nNEW=$1").code == 0
    environ = app.environ()
    assert (environ["KEPT"], environ["CHANGED"], environ["NEW"]) == ("by hand", "by CI", "$1")
    assert app.hosts[0].sh(f"cat {app.name}/.env") == text


def test_change_of_config_alone_is_a_new_release_of_the_same_tag(app: App) -> None:
    assert app.deploy("good1", APP_CONFIG="A=1").code == 0
    first = app.current()
    done = app.deploy("good1", APP_CONFIG="A=2")
    assert done.code == 0, done.output
    assert done.report["status"] == "succeeded"
    assert app.current() != first
    assert app.environ()["A"] == "2"
    done = app.run("rollback", first)
    assert done.code == 0, done.output
    assert app.environ()["A"] == "1"


def test_changed_env_by_hand_is_deployed_although_nothing_else_has_changed(app: App) -> None:
    app.hosts[0].sh(f"echo A=1 >{app.name}/.env")
    assert app.deploy("good1").code == 0
    app.hosts[0].sh(f"echo A=2 >{app.name}/.env")
    done = app.deploy("good1")
    assert done.report["status"] == "succeeded", done.output
    assert app.environ()["A"] == "2"
    assert app.deploy("good1").report["status"] == "skipped"


def test_variables_of_the_session_cannot_change_what_is_deployed(app: App) -> None:
    """An exported DEPLOY_TAG has made many a rollback a rollback to itself."""
    app.hosts[0].root(
        "sh", "-c", "echo 'SetEnv DEPLOY_TAG=good4' >>/etc/ssh/sshd_config; pkill -HUP -o sshd"
    )
    try:
        done = app.deploy("good1")
    finally:
        app.hosts[0].root(
            "sh", "-c", "sed -i '/^SetEnv/d' /etc/ssh/sshd_config; pkill -HUP -o sshd"
        )
    assert done.code == 0, done.output
    assert app.versions() == ["good1"]


def test_host_that_greets_each_session_is_understood(app: App) -> None:
    """By a script of its own, or with a warning of its shell about a locale that it lacks."""
    host = app.hosts[0]
    host.sh("printf 'echo Welcome to $(uname -n)!; echo no such locale >&2\\n' >.ssh/rc")
    try:
        done = app.deploy("good1")
        assert done.code == 0, done.output
        ran = app.run("run", "--", "sh", "-c", "exit 3")
        assert ran.code == 3, ran.output
        bad = app.deploy("bad1")
        assert bad.code == 23, bad.output
        assert app.deploy("good2", DOCKER_PASS="wrong-password").code == 12
    finally:
        host.sh("rm .ssh/rc")


def test_project_is_what_compose_itself_takes_for_the_directory(app: App) -> None:
    odd = f"Odd.{app.name} Dir"
    app.hosts[0].sh(f"mkdir '{odd}' && touch '{odd}/.env'")
    try:
        done = app.deploy("good1", DEPLOY_PATH=f"/home/deploy/{odd}")
        assert done.code == 0, done.output
        file = f".ci-deploy/apps/{app.name}/current/files/{FILE}"
        asked = f"DEPLOY_TAG=1 docker compose --project-directory . -f {file} config"
        taken = app.hosts[0].sh(f"cd '{odd}' && {asked} | sed -n 's/^name: //p'").strip()
        assert taken == f"odd{app.name}dir"
        ours = app.hosts[0].sh(f"docker ps -q --filter label=com.docker.compose.project={taken}")
        assert len(ours.split()) == 1
    finally:
        script = f"docker rm -fv $(docker ps -aq --filter label=com.docker.compose.project={taken})"
        app.hosts[0].sh(f"{script}; rm -rf '{odd}'", check=False)


def test_other_project_name_than_the_running_one_is_refused_until_it_is_meant(app: App) -> None:
    """Otherwise the app would start with new, empty volumes, and silently."""
    old = f"old{app.name}"
    app.hosts[0].root(
        "sh", "-c",
        f"docker import -c 'CMD [\"/app\"]' /tmp/rootfs.tar by-hand >/dev/null && "
        f"docker run -d --name {old}-app-1 --label com.docker.compose.project={old} --network none "
        f"--label com.docker.compose.service=app "
        f"--label com.docker.compose.project.working_dir={app.folder} by-hand",
    )  # fmt: skip
    try:
        done = app.deploy("good1")
        assert done.code == 2
        assert f"belong to the project `{old}`" in done.output
        assert f"Set COMPOSE_PROJECT_NAME={old}" in done.output
        assert app.containers() == []
        done = app.run("plan", COMPOSE_PROJECT_NAME=old)
        assert "app of" in done.output
        assert "already run, and were not deployed by ci-deploy" in done.output
        assert app.deploy("good1", COMPOSE_PROJECT_NAME=app.name).code == 0
    finally:
        app.hosts[0].sh(f"docker rm -f {old}-app-1")


def test_deploy_env_is_rails_env_and_never_the_environment_of_the_ci(app: App) -> None:
    app.write(app.small.replace("env_file: .env", 'environment: {RAILS_ENV: "${RAILS_ENV}"}'))
    done = app.deploy("good1", DEPLOY_ENVIRONMENT="staging-eu")
    assert done.code == 0, done.output
    assert app.environ()["RAILS_ENV"] == "production"
    ran = app.run("run", "--", "sh", "-c", "echo $RAILS_ENV", DEPLOY_ENV="qa")
    assert ran.output == "qa\n"


def test_all_bad_settings_are_named_at_once_and_no_host_is_asked(app: App) -> None:
    before = app.hosts[0].connections()
    done = app.deploy(
        "a/b",
        SERVER_HOST="ftp://x",
        DEPLOY_PATH="/srv/$APP",
        COMPOSE_FILE="../x.yml",
        COMPOSE_PROJECT_NAME="Shop",
    )
    assert done.code == 2
    for name in (
        "DEPLOY_TAG",
        "SERVER_HOST",
        "DEPLOY_PATH",
        "COMPOSE_FILE",
        "COMPOSE_PROJECT_NAME",
    ):
        assert re.search(rf"- {name}", done.output), name
    assert app.hosts[0].connections() == before


def test_settings_that_only_make_sense_together_are_explained(app: App) -> None:
    """All at once, before anything is touched (faults G3)"""
    done = app.deploy(SERVER_USER="", DOCKER_USER="", DEPLOY_TAG="", APP_CONFIG="1A=x")
    assert done.code == 2
    assert "SERVER_USER: is required to log in on the hosts." in done.output
    assert "DEPLOY_TAG: this job has no build number, or no revision" in done.output
    assert "DOCKER_USER: must be set together with DOCKER_PASS." in done.output
    assert "APP_CONFIG: the name of variable 1 is not valid" in done.output


def test_ci_deploy_tag_names_the_image_that_deploy_takes(app: App) -> None:
    circle = {"CIRCLECI": "true", "CIRCLE_BUILD_NUM": "75", "CIRCLE_SHA1": app.checkout.head}
    tag = app.run("tag", DEPLOY_TAG="", **circle).output.strip()
    assert tag == f"75_{app.checkout.head[:7]}"
    done = app.deploy("", **circle)
    assert done.code == 20
    assert f"{app.registry.image}:{tag}" in done.output


def test_old_docker_email_is_accepted_and_said_to_be_of_no_use(app: App) -> None:
    done = app.run("plan", DOCKER_EMAIL="jane@example.com")
    assert done.code == 0, done.output
    assert "DOCKER_EMAIL is ignored" in done.output


def test_project_name_with_a_variable_is_what_the_release_says(app: App) -> None:
    """Staging beside production on one host: neither takes the other's containers. (faults H1)"""
    app.write(f"name: {app.name}-${{DEPLOY_ENV}}\n{app.small}")
    stage = f"{app.folder}/stage"
    app.hosts[0].sh(f"mkdir {stage} && touch {stage}/.env")
    staging = {"APP_NAME": f"{app.name}s", "DEPLOY_PATH": stage}
    try:
        done = app.deploy("good1")
        assert done.code == 0, done.output
        production = _running(app, "production")
        assert len(production) == 1
        done = app.deploy("good2", DEPLOY_ENV="staging", **staging)
        assert done.code == 0, done.output
        assert _running(app, "production") == production
        assert len(_running(app, "staging")) == 1
        done = app.deploy("good3", **staging)
        assert done.code == 2, done.output
        assert f"`{app.name}-production` on" in done.output
        assert "belongs to another directory" in done.output
        assert _running(app, "production") == production
    finally:
        for name in ("production", "staging"):
            mine = f"$(docker ps -aq --filter label=com.docker.compose.project={app.name}-{name})"
            app.hosts[0].sh(f"docker rm -fv {mine}", check=False)


def _running(app: App, environment: str) -> list[str]:
    project = f"label=com.docker.compose.project={app.name}-{environment}"
    return app.hosts[0].sh(f"docker ps -q --filter {project}").split()


def test_variables_are_understood_wherever_compose_takes_them(app: App) -> None:
    """Before they are replaced they make a file look wrong, and no APP_CONFIG may get lost by that.
    (faults H2)"""
    odd = """ulimits: {nofile: "${N:-1000}"}
    volumes: ["${DIR:-./data}:/path:ro", "kept:/kept"]
    env_file: .env"""
    volumes = f'volumes: {{kept: {{external: "${{E:-true}}", name: kept-{app.name}}}}}\n'
    app.write(f"{app.small.replace('env_file: .env', odd)}\n{volumes}")
    app.hosts[0].sh(f"rm {app.name}/.env; docker volume create kept-{app.name}")
    try:
        done = app.deploy("good1", APP_CONFIG="KEPT=$1")
        assert done.code == 0, done.output
        assert "no image's name contains" not in done.output
        assert app.environ()["KEPT"] == "$1"
        assert app.deploy("good1", APP_CONFIG="KEPT=$1").report["status"] == "skipped"
        app.runs("good1")
    finally:
        app.hosts[0].sh(
            f"docker rm -fv $(docker ps -aq --filter label=com.docker.compose.project={app.name});"
            f" docker volume rm kept-{app.name}"
        )
