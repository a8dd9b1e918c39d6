"""Files of the repository that the compose file names: each release has its own."""

from __future__ import annotations

import pytest

from standins.compose.app import App
from standins.host_app import FILE


def _mounted(app: App, *volumes: str) -> str:
    lines = "".join(f'\n      - "{each}"' for each in volumes)
    return f"{app.small}    volumes:{lines}\n"


def _shown(app: App, path: str, service: str = "app") -> str:
    name = f"{app.name}-{service}-1"
    return app.hosts[0].root("docker", "exec", name, "cat", path, check=False).strip()


@pytest.mark.parametrize("mode", ["", ":ro"])
def test_mounted_file_comes_with_each_release_and_goes_back_with_it(app: App, mode: str) -> None:
    """Nobody has put it on the host; a commit that changes only this file counts. (faults H4)"""
    mounted = _mounted(app, f"./nginx/nginx.conf:/etc/nginx.conf{mode}")
    app.checkout.commit("One", {FILE: mounted, "nginx/nginx.conf": "one\n"})
    plan = app.run("plan")
    assert "with nginx/nginx.conf of the repository" in plan.output
    assert app.deploy("good1").code == 0
    assert _shown(app, "/etc/nginx.conf") == "one"
    app.checkout.commit("Two", {"nginx/nginx.conf": "two\n"})
    done = app.deploy("good1")
    assert done.report["status"] == "succeeded", done.output
    assert _shown(app, "/etc/nginx.conf") == "two"
    assert app.run("rollback").code == 0
    assert _shown(app, "/etc/nginx.conf") == "one"
    assert app.hosts[0].sh(f"ls -A {app.name}") == ".ci-deploy\n.env\n"


def test_file_by_hand_stays_and_what_is_nowhere_is_refused(app: App) -> None:
    """By `plan`, `doctor` and `deploy`, before Docker makes a directory of its name. (faults H4)"""
    app.write(_mounted(app, "./by-hand.conf:/etc/by-hand.conf", "./lost.conf:/etc/lost.conf:ro"))
    app.hosts[0].sh(f"echo mine >{app.name}/by-hand.conf")
    for done in (app.run("plan"), app.run("doctor"), app.deploy("good1")):
        assert done.code == 2, done.output
        assert "app mounts `lost.conf`, which is neither in the repository at" in done.output
        assert "by-hand.conf" not in done.output
    assert app.containers() == []
    app.write(_mounted(app, "./by-hand.conf:/etc/by-hand.conf", "./data:/data"))
    planned = app.run("plan").output
    assert f"app mounts {app.folder}/data, which does not exist on " in planned
    assert "Docker creates an empty directory there" in planned
    assert app.deploy("good1").code == 0
    assert _shown(app, "/etc/by-hand.conf") == "mine"
    assert app.hosts[0].sh(f"cat {app.name}/by-hand.conf") == "mine\n"


def test_directory_comes_with_the_release_and_keeps_what_the_host_has_there(app: App) -> None:
    """What nobody writes to is the release's; elsewhere the app's own files stay. (faults H4)"""
    mounted = _mounted(app, "./conf.d:/conf.d:ro", "./shared:/shared", "./kept:/kept")
    files = {"conf.d/a.conf": "one", "conf.d/b.conf": "b", "shared/a": "one", "shared/b": "b"}
    app.checkout.commit("One", {FILE: mounted, "kept/.gitkeep": "", **files})
    assert app.deploy("good1").code == 0
    app.hosts[0].root("sh", "-c", f"cd {app.folder} && echo up >shared/upload && echo 1 >kept/db")
    app.checkout.git("rm", "--quiet", "conf.d/b.conf", "shared/b")
    app.checkout.commit("Two", {"conf.d/a.conf": "two", "shared/a": "two"})
    done = app.deploy("good1")
    assert done.code == 0, done.output
    shown = {
        p: _shown(app, p) for p in ("/conf.d/a.conf", "/shared/a", "/shared/upload", "/kept/db")
    }
    assert list(shown.values()) == ["two", "two", "up", "1"]
    assert _shown(app, "/conf.d/b.conf") == _shown(app, "/shared/b") == ""
    assert app.run("rollback").code == 0
    assert [_shown(app, p) for p in ("/conf.d/b.conf", "/shared/a", "/shared/b")] == [
        "b",
        "one",
        "b",
    ]


def test_what_compose_reads_beside_its_file_comes_with_the_release(app: App) -> None:
    """`env_file`, `include`, `extends`, and files of `configs` and `secrets`. (faults H4)"""
    app.checkout.commit(
        "Files",
        {
            FILE: "include: [more/worker.yml]\nservices:\n  app:\n"
            "    extends: {file: common.yml, service: base}\n"
            f"    image: {app.registry.image}:${{DEPLOY_TAG}}\n"
            "    env_file:\n      - .env\n      - path: app.${DEPLOY_ENV}.env\n"
            "    configs: [{source: conf, target: /conf}]\n    secrets: [token]\n"
            "configs: {conf: {file: ./conf.txt}}\nsecrets: {token: {file: ./token.txt}}\n",
            "common.yml": app.small.replace("app:", "base:").replace(
                "env_file: .env", "labels: {a: b}"
            ),
            "more/worker.yml": "services:\n  worker:\n    env_file: worker.env\n"
            "    network_mode: none\n"
            f"    image: {app.registry.image}:good3\n    volumes: ['./w.conf:/w.conf:ro']\n",
            "more/worker.env": "WORKER=1\n",
            "more/w.conf": "w\n",
            "app.production.env": "MODE=one\n",
            "conf.txt": "one\n",
            "token.txt": "secret\n",
        },
    )
    done = app.deploy("good1", COMPOSE_STEADY_TIME="1")
    assert done.code == 0, done.output
    assert app.environ()["MODE"] == "one"
    assert app.environ("worker")["WORKER"] == "1"
    assert [_shown(app, each) for each in ("/conf", "/run/secrets/token")] == ["one", "secret"]
    assert _shown(app, "/w.conf", "worker") == "w"
    worker = [each["Id"] for each in app.containers(0, "worker")]
    app.checkout.commit("Next", {"app.production.env": "MODE=two\n", "conf.txt": "two\n"})
    assert app.deploy("good1", COMPOSE_STEADY_TIME="1").code == 0
    assert (app.environ()["MODE"], _shown(app, "/conf")) == ("two", "two")
    assert [each["Id"] for each in app.containers(0, "worker")] == worker, "nothing of it changed"
    assert app.run("rollback").code == 0
    assert (app.environ()["MODE"], _shown(app, "/conf")) == ("one", "one")


def test_changed_content_is_applied_and_only_that(app: App) -> None:
    """Inline, and of a variable: Compose itself recreates no container for it. (faults H5)"""
    db = f"  db:\n    image: {app.registry.image}:good3\n    network_mode: none\n"
    text = (
        f"{app.small}    configs: [{{source: c, target: /c}}]\n    secrets: [s]\n"
        f"{db}    secrets: [fixed]\nconfigs: {{c: {{content: 'one'}}}}\n"
        "secrets: {s: {environment: S}, fixed: {environment: FIXED}}\n"
    )
    steady = {"COMPOSE_STEADY_TIME": "1"}
    app.write(text)
    assert app.deploy("good1", APP_CONFIG="S=one\nFIXED=1", **steady).code == 0
    [database] = [each["Id"] for each in app.containers(0, "db")]
    app.write(text.replace("'one'", "'two'"))
    done = app.deploy("good1", APP_CONFIG="S=one\nFIXED=1", **steady)
    assert done.code == 0, done.output
    assert [_shown(app, "/c"), _shown(app, "/run/secrets/s")] == ["two", "one"]
    assert app.deploy("good1", APP_CONFIG="S=two\nFIXED=1", **steady).code == 0
    assert _shown(app, "/run/secrets/s") == "two"
    before = app.ids()
    assert app.deploy("good1", APP_CONFIG="S=two\nFIXED=1", REDEPLOY="true", **steady).code == 0
    assert len(before & app.ids()) == 1, "the app is recreated"
    assert database in app.ids()


def test_file_that_compose_misses_is_named_by_its_path_on_the_host(app: App) -> None:
    """Also where ours are laid over what is there to look. (faults H4)"""
    lists = "env_file: [here.env, lost.env]"
    app.checkout.commit("One", {FILE: app.small.replace("env_file: .env", lists), "here.env": ""})
    done = app.run("plan")
    assert done.code == 2, done.output
    assert f"{app.folder}/lost.env" in done.output
    assert app.hosts[0].sh(f"ls -A {app.name}") == ".env\n"
