"""APP_CONFIG and DOKKU_SERVICES: by difference, byte for byte, never shown."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest

from standins.dokku.client import Client
from standins.dokku.faults import Fault
from standins.dokku.server import DokkuStandIn
from standins.support import Checkout, run, settings_for

ODD = {
    "BLANKS": "  two  words ",
    "QUOTES": 'it\'s "quoted" `id`',
    "DOLLAR": "pa$word $HOME ${X} $(id)",
    "LINES": "first\nsecond\n",
    "EQUALS": "a=b=c",
    "UNICODE": "grüße 🚀",
    "BACKSLASH": "a\\b\\n",
    "HASH": "a #b",
    "SECRET_TOKEN": "very-secret-value-1",
}


def _dotenv(values: dict[str, str]) -> str:
    """Double quotes with escapes: the form of dotenv that can hold everything."""

    def quoted(value: str) -> str:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    return "".join(f'{key}="{quoted(value)}"\n' for key, value in values.items())


def test_values_arrive_byte_for_byte_in_the_running_app(
    dokku: DokkuStandIn, tmp_path: Path
) -> None:
    checkout = Checkout(tmp_path / "app")
    checkout.commit(
        "Show the environ",
        {
            "Procfile": "web: python3 show.py\n",
            "show.py": (
                "import http.server, json, os\n"
                "class H(http.server.BaseHTTPRequestHandler):\n"
                "    def do_GET(self):\n"
                "        body = json.dumps(dict(os.environ)).encode()\n"
                "        self.send_response(200); self.end_headers(); self.wfile.write(body)\n"
                "address = ('127.0.0.1', int(os.environ['PORT']))\n"
                "http.server.HTTPServer(address, H).serve_forever()\n"
            ),
        },
    )
    env = settings_for(dokku, APP_CONFIG=_dotenv(ODD))
    done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 0, done.output
    with urllib.request.urlopen(dokku.app("hello").url) as answer:
        found = json.load(answer)
    assert {key: found.get(key) for key in ODD} == ODD
    for value in ("very-secret-value-1", "pa$word", "grüße"):
        assert value not in done.output
        assert value not in (checkout.path / "deploy-report.json").read_text()


def test_only_what_differs_is_set_in_one_call_without_a_restart(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout
) -> None:
    naive.dokku("config:set --no-restart hello KEEP=mine SAME=1")
    env = settings_for(dokku, APP_CONFIG="SAME=1\nNEW=2\nOTHER=3\n")
    done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 0, done.output
    assert "→ set NEW, OTHER on hello" in done.output
    calls = [call.raw for call in dokku.calls() if call.raw.startswith("config:set")]
    assert [call for call in calls if "NEW=" in call and "OTHER=" in call and "SAME" not in call]
    assert all("--no-restart" in call for call in calls)
    assert dokku.app("hello").config["KEEP"] == "mine"
    assert dokku.app("hello").releases == 1


def test_changed_config_is_deployed_although_the_revision_is_live(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    assert run("deploy", cwd=checkout.path, env=settings_for(dokku)).code == 0
    env = settings_for(dokku, APP_CONFIG="NEW=2\n")
    done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 0, done.output
    assert done.report["status"] == "succeeded"
    assert dokku.app("hello").releases == 2
    assert run("deploy", cwd=checkout.path, env=env).report["status"] == "skipped"


def test_plan_shows_the_names_and_no_values(dokku: DokkuStandIn, checkout: Checkout) -> None:
    env = settings_for(dokku, APP_CONFIG="COLOUR=ultramarine\n")
    done = run("ci-deploy", "plan", cwd=checkout.path, env=env)
    assert done.code == 0, done.output
    assert "→ set COLOUR on hello" in done.output
    assert "ultramarine" not in done.output
    assert "COLOUR" not in dokku.app("hello").config


def test_config_that_is_no_dotenv_is_a_bad_setting_without_its_values(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    env = settings_for(dokku, APP_CONFIG="GOOD=1\nhunter2 is no assignment\n")
    done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 2
    assert "APP_CONFIG: line 2 is not `NAME=value`" in done.output
    assert "hunter2" not in done.output


@pytest.mark.parametrize("command", ["deploy", "review"])
def test_values_that_dokku_cannot_store_are_refused_before_anything_is_touched(
    dokku: DokkuStandIn, checkout: Checkout, command: str
) -> None:
    """(faults K2)"""
    config = 'GREETING="say \\"hi\\""\nPIN=0123\nGOOD=1\nA.B=1\n'
    name = "REVIEW_CONFIG" if command == "review" else "APP_CONFIG"
    env = settings_for(dokku, REVIEW_APP_NAME="hello-new", **{name: config})
    done = run("ci-deploy", command, cwd=checkout.path, env=env)
    assert done.code == 2, done.output
    assert f"{name}: Dokku cannot store the value of `GREETING`, `PIN` as it is" in done.output
    assert f"{name}: a variable's name may contain only letters, digits and `_`" in done.output
    assert not [call for call in dokku.calls() if call.raw.startswith(("config:", "git-"))]


def test_variables_that_the_server_cannot_read_stop_the_deploy(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout
) -> None:
    """Dokku would go on, with no process at all, and quote values of others (faults K2, K4)."""
    naive.dokku("config:set --no-restart --encoded hello GREETING=c2VjcmV0IHdvcmRzIg==")
    naive.dokku("config:set --no-restart hello OTHER=1")
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku))
    assert done.code == 20, done.output
    assert "/home/dokku/hello/ENV" in done.output
    assert "secret words" not in done.output + json.dumps(done.report)
    assert dokku.app("hello").releases == 0


def test_address_of_a_new_service_is_not_in_the_log(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    """The plugins end `create` with it (faults C2)."""
    env = settings_for(dokku, DOKKU_SERVICES="postgres redis")
    done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 0, done.output
    for key in ("DATABASE_URL", "REDIS_URL"):
        address = dokku.app("hello").config[key]
        secret = address.partition("@")[0].rpartition(":")[2]
        assert secret not in done.output + json.dumps(done.report)


def test_services_are_created_and_linked_after_the_config_and_only_once(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    env = settings_for(
        dokku, DOKKU_SERVICES="mysql=main, redis", APP_CONFIG="MYSQL_DATABASE_SCHEME=mysql2\n"
    )
    done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 0, done.output
    assert set(dokku.services("mysql")) == {"main"}
    assert set(dokku.services("redis")) == {"hello-redis"}
    assert dokku.app("hello").config["DATABASE_URL"].startswith("mysql2://")
    again = run("deploy", cwd=checkout.path, env=env)
    assert again.report["status"] == "skipped"
    creations = [call.raw for call in dokku.calls() if ":create main" in call.raw]
    assert len(creations) == 1


def test_addons_and_app_yml_get_a_hint(dokku: DokkuStandIn, checkout: Checkout) -> None:
    checkout.commit(
        "Old ways", {"app.json": '{"addons": ["dokku-mysql"]}', "app.yml": "scripts: {}\n"}
    )
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku))
    assert done.code == 0, done.output
    assert "app.json names addons (dokku-mysql), which Dokku ignores" in done.output
    assert "the repository has an app.yml, which Dokku ignores" in done.output


def test_plugin_that_fails_is_not_taken_for_a_service_that_does_not_exist(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    said = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock."
    dokku.faults(Fault("postgres:exists", "refuse", text=said))
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku, DOKKU_SERVICES="postgres"))
    assert done.code == 20, done.output
    assert (
        "cannot tell whether the postgres service hello-postgres exists" in done.report["message"]
    )
    assert said in done.report["message"]
    calls = [call.raw for call in dokku.calls()]
    assert not [call for call in calls if call.startswith(("postgres:create", "git-receive"))]


def test_app_that_the_server_cannot_describe_is_not_taken_for_absent(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    """It would be created."""
    created = [call for call in dokku.calls() if call.raw.startswith("apps:create")]
    dokku.faults(Fault("apps:report", "refuse", text="No space left on device"))
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku, DOKKU_CREATE_APP="true"))
    assert done.code == 20, done.output
    assert "cannot tell whether the app hello exists" in done.report["message"]
    assert [call for call in dokku.calls() if call.raw.startswith("apps:create")] == created
