"""The same deploy from every platform's variables, and one clear answer to bad settings."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from ci_deploy.report.outputs import OUTPUTS
from standins.dokku.client import Client
from standins.dokku.server import DokkuStandIn, Fault
from standins.support import Checkout, run, settings_for
from standins.webhooks import webhooks
from tests.golden import Golden

BAD = {
    "DOKKU_HOST": "http://x",
    "SSH_PRIVATE_KEY": "broken",
    "DEPLOY_PROVIDER": "docku",
    "DEPLOY_TIMEOUT": "ten",
    "HEALTHCHECK_URL": "ftp://x",
}


def test_six_mistakes_get_one_answer_and_no_connection(
    dokku: DokkuStandIn, checkout: Checkout, golden: Golden
) -> None:
    before = len(dokku.connections())
    done = run("deploy", cwd=checkout.path, env=BAD)
    assert done.code == 2
    golden("settings/six mistakes", done.output)
    assert "6 settings are missing or wrong." in done.output
    assert "Nothing was changed." in done.output
    for part in (
        "APP_NAME: is required",
        "`docku` is not one of compose, dokku, heroku, swarm. Did you mean `dokku`?",
        "SSH_PRIVATE_KEY: this is not a private key",
        "DOKKU_HOST: the address begins with http://",
        "DEPLOY_TIMEOUT: `ten` is not a whole number",
        "HEALTHCHECK_URL: this is not a valid http:// or https:// URL",
    ):
        assert part in done.output
    assert len(dokku.connections()) == before


def test_mistakes_are_spelled_as_inputs_on_github(
    checkout: Checkout, tmp_path: Path, golden: Golden
) -> None:
    given = {f"INPUT_{name.replace('_', '-')}": value for name, value in BAD.items()}
    done = run("ci-deploy", cwd=checkout.path, env={**_github(checkout, tmp_path), **given})
    assert done.code == 2
    golden("settings/six mistakes on GitHub", done.output)
    assert "- `app-name`: is required" in done.output
    assert "- `dokku-host`: the address begins with http://" in done.output
    assert "::error title=ci-deploy::" in done.output


def test_setting_that_is_a_variable_on_github_keeps_its_name(
    checkout: Checkout, tmp_path: Path
) -> None:
    """As in a job of the container."""
    given = {**_github(checkout, tmp_path), "INPUT_APP-NAME": "hello", "DOKKU_HOST": "http://x"}
    done = run("ci-deploy", cwd=checkout.path, env=given)
    assert done.code == 2
    assert "  - DOKKU_HOST: the address begins with http://" in done.output
    assert "  - `ssh-private-key`: is required" in done.output


def test_missing_secret_on_github_names_the_jobs_environment(
    checkout: Checkout, tmp_path: Path, golden: Golden
) -> None:
    """An empty secret is mostly one of an environment that the job does not name (faults E6)."""
    given = {"INPUT_APP-NAME": "hello", "INPUT_DOKKU-HOST": "dokku@127.0.0.1"}
    env = {**_github(checkout, tmp_path), **given}
    done = run("ci-deploy", cwd=checkout.path, env={**env, "INPUT_SSH-PRIVATE-KEY": ""})
    assert done.code == 2
    golden("settings/a secret is missing on GitHub", done.output)
    assert "- `ssh-private-key`: is required" in done.output
    assert "reaches only a job with `environment: NAME`" in done.output
    assert done.report["hint"].startswith("If the secret exists")


def test_hints_name_inputs_on_github(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path
) -> None:
    """Before the run begins and in it; in the log, the annotation, the report and the summary."""
    variables = _github(checkout, tmp_path)
    given = {**settings_for(dokku, APP_NAME="new"), **variables}
    done = run("ci-deploy", cwd=checkout.path, env=given)
    assert done.code == 2, done.output
    says = "or set `dokku-create-app: true`"
    assert says in done.report["message"]
    assert done.output.count(says) == 2
    assert says in Path(variables["GITHUB_STEP_SUMMARY"]).read_text()
    assert "DOKKU_CREATE_APP" not in done.output + str(done.report)
    (tmp_path / "event.json").write_text('{"pull_request": {"head": {"repo": {"fork": true}}}}')
    done = run(
        "ci-deploy", cwd=checkout.path, env={**given, "GITHUB_EVENT_NAME": "pull_request_target"}
    )
    assert done.code == 14, done.output
    assert done.report["hint"].endswith("set `deploy-allow: untrusted`.")


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"INPUT_SERVER-HOST": "web.example.com"}, "server-user"),
        ({"INPUT_DOKKU-HOST": "dokku@127.0.0.1", "INPUT_DEPLOY-METHOD": "image"}, "dokku-image"),
        ({"INPUT_DOKKU-HOST": "dokku@127.0.0.1", "INPUT_APP-DIR": "nowhere"}, "app-dir"),
        (
            {"INPUT_DOKKU-HOST": "dokku@127.0.0.1", "INPUT_SSH-PRIVATE-KEY": "locked"},
            "ssh-private-key-passphrase",
        ),
    ],
)
def test_problem_beyond_the_form_is_spelled_as_an_input_too(
    checkout: Checkout, tmp_path: Path, given: dict[str, str], name: str
) -> None:
    """Whoever finds it: a layer, the agent, or a check of the revision (faults E7)."""
    for kind, passphrase in (("plain", ""), ("locked", "secret words")):
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(tmp_path / kind)]
        subprocess.run(argv, check=True)
    key = "INPUT_SSH-PRIVATE-KEY"
    given = {"INPUT_APP-NAME": "hello", key: "plain", **given}
    given[key] = (tmp_path / given[key]).read_text()
    done = run("ci-deploy", cwd=checkout.path, env={**_github(checkout, tmp_path), **given})
    assert done.code == 2, done.output
    assert f"  - `{name}`: " in done.output
    assert f"  - {name.upper().replace('-', '_')}" not in done.output


def test_a_key_and_a_passphrase_that_do_not_fit_are_told_before_any_connection(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path
) -> None:
    key = tmp_path / "locked"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "right one", "-f", key], check=True)
    dokku.authorize(key.with_suffix(".pub").read_text())
    before = len(dokku.connections())
    env = settings_for(dokku, SSH_PRIVATE_KEY=key.read_text())
    done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 2
    assert "SSH_PRIVATE_KEY_PASSPHRASE is required" in done.output
    wrong = run("deploy", cwd=checkout.path, env={**env, "SSH_PRIVATE_KEY_PASSPHRASE": "wrong one"})
    assert wrong.code == 2
    assert "the passphrase does not fit SSH_PRIVATE_KEY" in wrong.output
    assert len(dokku.connections()) == before
    right = run("deploy", cwd=checkout.path, env={**env, "SSH_PRIVATE_KEY_PASSPHRASE": "right one"})
    assert right.code == 0, right.output


def test_encrypted_key_that_ssh_cannot_read_is_told_from_a_wrong_passphrase(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    """OpenSSH before 9.6 cannot read Ed25519 in PKCS#8; one that can does not deploy by it here,
    since the server does not know the key (faults B5)."""
    made = ["openssl", "genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:let me in"]
    key = subprocess.run(made, check=True, capture_output=True, text=True).stdout
    env = settings_for(dokku, SSH_PRIVATE_KEY=key, SSH_PRIVATE_KEY_PASSPHRASE="let me in")
    done = run("deploy", cwd=checkout.path, env=env)
    assert done.code in {2, 12}, done.output
    if done.code == 2:
        assert "ssh cannot read a key of this type in PKCS#8" in done.output
    assert "passphrase." not in done.output


def test_the_job_of_the_original_deployer_works_with_a_host_key_added(
    dokku: DokkuStandIn, naive: Client, tmp_path: Path
) -> None:
    """seeds/001: image dokku:latest, `script: deploy`, these variables and no others."""
    checkout = _rails(tmp_path)
    with webhooks() as hook:
        done = run(
            "deploy",
            cwd=checkout.path,
            env={
                **_gitlab(checkout),
                "DEPLOY_PROVIDER": "dokku",  # baked into the image
                "CI_DEPLOY": "true",
                "APP_NAME": "hello",
                "DOKKU_HOST": f"{dokku.user}@{dokku.host}:{dokku.port}",
                "AUTO_MIGRATE_ON_DEPLOY": "true",
                "SSH_PRIVATE_KEY": dokku.private_key,
                "SSH_SERVER_HOSTKEYS": dokku.known_hosts,
                "MATTERMOST_WEBHOOK_URL": hook.url,
                "MATTERMOST_CHANNEL": "deploys",
            },
        )
    assert done.code == 0, done.output
    assert dokku.app("hello").running_revision == checkout.head
    assert "rails db:migrate" in done.output
    assert [title.split(": ")[1].split()[0] for title in hook.titles] == ["deploying", "deployed"]
    assert {payload["channel"] for payload in hook.payloads} == {"deploys"}


def test_a_channel_without_its_webhook_only_leaves_a_line(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku, MATTERMOST_CHANNEL="deploys"))
    assert done.code == 0
    line = (
        "mattermost is off: MATTERMOST_WEBHOOK_URL is not set, although MATTERMOST_CHANNEL is set"
    )
    assert done.output.count(line) == 1


def test_ci_deploy_false_does_nothing_and_is_green(dokku: DokkuStandIn, checkout: Checkout) -> None:
    before = len(dokku.connections())
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku, CI_DEPLOY="false"))
    assert done.code == 0
    assert done.report["status"] == "disabled"
    assert len(dokku.connections()) == before


class Everywhere:
    """The same deploy on each platform, and the outputs of the contract as it gives them."""

    def __init__(self, checkout: Checkout, folder: Path, env: dict[str, str]) -> None:
        self.checkout, self.folder, self.env = checkout, folder, env

    def gitlab(self) -> dict[str, str]:
        done = run("deploy", cwd=self.checkout.path, env={**self.env, **_gitlab(self.checkout)})
        assert done.code == 0, done.output
        names = {f"DEPLOYED_{name.upper().replace('-', '_')}": name for name in OUTPUTS}
        return {names[name]: value for name, value in done.outputs().items()}

    def github(self) -> dict[str, str]:
        inputs = {f"INPUT_{name.replace('_', '-')}": value for name, value in self.env.items()}
        variables = _github(self.checkout, self.folder)
        done = run("ci-deploy", cwd=self.checkout.path, env={**inputs, **variables})
        assert done.code == 0, done.output
        found = _parse_outputs(Path(variables["GITHUB_OUTPUT"]).read_text())
        assert found.keys() == OUTPUTS.keys()
        return {name: value for name, value in found.items() if value}

    def local(self) -> dict[str, str]:
        done = run("deploy", cwd=self.checkout.path, env=self.env)
        assert done.code == 0, done.output
        found = {name: done.report[name.replace("-", "_")] for name in OUTPUTS}
        found |= {"changed": str(found["changed"]).lower(), "duration": f"{found['duration']:.1f}"}
        return {name: value for name, value in found.items() if value}


def test_outputs_are_the_same_on_gitlab_github_and_locally(
    dokku: DokkuStandIn, tmp_path: Path
) -> None:
    """All of them, after a deploy and when there was nothing to deploy."""
    checkout = Checkout(tmp_path / "app")
    head = checkout.head
    env = settings_for(dokku, DEPLOY_ENVIRONMENT="staging")
    assert run("deploy", cwd=checkout.path, env=env).code == 0
    known = {"app": "hello", "environment": "staging", "url": dokku.app("hello").url}
    known |= {"revision": head, "previous-revision": head}
    for more, result in (
        ({"REDEPLOY": "true"}, {"status": "succeeded", "changed": "true"}),
        ({}, {"status": "skipped", "changed": "false"}),
    ):
        everywhere = Everywhere(checkout, tmp_path, {**env, **more})
        for outputs in (everywhere.gitlab(), everywhere.github(), everywhere.local()):
            assert float(outputs.pop("duration")) >= 0.0
            outputs.pop("release", "")  # each deploy has its own
            assert outputs == {**known, **result}


ODD = "st=ag\n in%25g \"q\" 'r' `s` " + "x" * 200


def test_odd_values_are_equal_on_both_platforms_and_break_neither(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path
) -> None:
    env = settings_for(dokku, DEPLOY_ENVIRONMENT=ODD)
    gitlab = run("deploy", cwd=checkout.path, env={**env, **_gitlab(checkout)})
    assert gitlab.code == 0, gitlab.output
    variables = _github(checkout, tmp_path)
    github = run("ci-deploy", cwd=checkout.path, env={**env, **variables, "REDEPLOY": "true"})
    assert github.code == 0, github.output
    found = _parse_outputs(Path(variables["GITHUB_OUTPUT"]).read_text())["environment"]
    assert found == gitlab.outputs()["DEPLOYED_ENVIRONMENT"] == " ".join(ODD.split())


@pytest.mark.parametrize("size", [4000, 6000])
def test_long_value_is_whole_on_github_and_on_gitlab_as_far_as_dotenv_allows(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path, size: int
) -> None:
    """A dotenv report of 5 KiB or more would fail the job after a deploy that is live."""
    env = settings_for(dokku, DEPLOY_ENVIRONMENT="x" * size)
    done = run("deploy", cwd=checkout.path, env={**env, **_gitlab(checkout)})
    assert done.code == 0, done.output
    assert done.outputs()["DEPLOYED_STATUS"] == "succeeded"
    assert (checkout.path / "deploy.env").stat().st_size < 5 * 1024
    fits = size < 5 * 1024
    assert done.outputs().get("DEPLOYED_ENVIRONMENT", "") == ("x" * size if fits else "")
    assert ("DEPLOYED_ENVIRONMENT was left out of deploy.env" in done.output) is not fits
    assert Everywhere(checkout, tmp_path, env).github()["environment"] == "x" * size


def test_tier_that_does_not_fit_the_environment_is_mentioned(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    gitlab = {**_gitlab(checkout), "CI_ENVIRONMENT_TIER": "production"}
    done = run("deploy", cwd=checkout.path, env={**settings_for(dokku), **gitlab})
    assert done.code == 0
    assert (
        "the tier of the environment `staging` is production: set the input `tier`" in done.output
    )


def test_gitlab_gets_dotenv_annotations_junit_and_sections(
    dokku: DokkuStandIn, tmp_path: Path
) -> None:
    checkout = Checkout(tmp_path / "app")
    done = run("deploy", cwd=checkout.path, env={**settings_for(dokku), **_gitlab(checkout)})
    assert done.code == 0, done.output
    outputs = done.outputs()
    assert outputs["DEPLOYED_STATUS"] == "succeeded"
    assert outputs["DEPLOYED_URL"] == dokku.app("hello").url
    links = json.loads((checkout.path / "deploy-annotations.json").read_text())["ci-deploy"]
    assert {link["external_link"]["label"] for link in links} >= {"hello (staging)", "Commit"}
    junit = (checkout.path / "deploy-junit.xml").read_text()
    assert 'name="deploy"' in junit
    assert "section_start:" in done.output
    assert "section_end:" in done.output


def test_github_gets_a_summary_that_says_what_is_live(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path
) -> None:
    """There is nothing to roll back to after the first deploy. (faults E3)"""
    variables = _github(checkout, tmp_path)
    done = run("ci-deploy", cwd=checkout.path, env={**settings_for(dokku), **variables})
    assert done.code == 0, done.output
    path = Path(variables["GITHUB_STEP_SUMMARY"])
    assert "Roll back" not in path.read_text()
    checkout.commit("Again")
    variables["GITHUB_SHA"] = checkout.head
    done = run("ci-deploy", cwd=checkout.path, env={**settings_for(dokku), **variables})
    assert done.code == 0, done.output
    summary = path.read_text()
    assert f"hello runs {checkout.head[:7]}" in summary
    assert "Roll back" in summary
    assert "| deploy |" in summary
    assert "::group::" in done.output


def test_summary_of_a_review_app_offers_no_rollback(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path
) -> None:
    """Its branch decides what it runs, and the command would roll back the base app. (faults E3)"""
    variables = _github(checkout, tmp_path)
    for _ in range(2):
        checkout.commit("More")
        variables |= {"GITHUB_SHA": checkout.head, "GITHUB_REF_NAME": "feature"}
        env = {**settings_for(dokku), **variables}
        done = run("ci-deploy", "review", cwd=checkout.path, env=env)
        assert done.code == 0, done.output
    summary = Path(variables["GITHUB_STEP_SUMMARY"]).read_text()
    assert summary.count("hello-feature") >= 2
    assert f"→ `{checkout.head[:7]}`" in summary
    assert "Roll back" not in summary


@pytest.mark.parametrize("form", ["crlf", "no newline", "literal", "base64", "path", "one line"])
def test_every_form_of_a_key_deploys(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path, form: str
) -> None:
    import base64

    text = dokku.private_key
    path = tmp_path / "key"
    path.write_text(text)
    path.chmod(0o666)
    key = {
        "crlf": text.replace("\n", "\r\n"),
        "no newline": text.rstrip("\n"),
        "literal": text.replace("\n", "\\n"),
        "base64": base64.b64encode(text.encode()).decode(),
        "path": str(path),
        "one line": text.replace("\n", " "),
    }[form]
    done = run(
        "ci-deploy", "doctor", cwd=checkout.path, env=settings_for(dokku, SSH_PRIVATE_KEY=key)
    )
    assert done.code == 0, done.output


def test_fingerprints_pin_the_host_too(dokku: DokkuStandIn, checkout: Checkout) -> None:
    pins = " ".join(dokku.fingerprints.values())
    env = settings_for(dokku, SSH_SERVER_HOSTKEYS=pins)
    assert run("ci-deploy", "doctor", cwd=checkout.path, env=env).code == 0


def test_ssh_config_may_give_a_name_its_host_and_port(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    lines = f"Host shop\n  HostName {dokku.host}\n  Port {dokku.port}\n"
    pins = " ".join(dokku.fingerprints.values())
    where = {"DOKKU_HOST": f"{dokku.user}@shop", "SSH_CONFIG": lines, "SSH_SERVER_HOSTKEYS": pins}
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku, **where))
    assert done.code == 0, done.output
    assert dokku.app("hello").running_revision == checkout.head


def test_ssh_config_may_reach_the_server_through_a_program(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    """As a jump host or a tunnel does; the host key is pinned under the name behind it."""
    relay = f"ProxyCommand bash -c 'exec 3<>/dev/tcp/{dokku.host}/{dokku.port}; cat <&3 & cat >&3'"
    pins = dokku.known_hosts.replace(f"[{dokku.host}]:{dokku.port}", "behind")
    lines = f"Host behind\n  {relay}\n"
    where = {"DOKKU_HOST": f"{dokku.user}@behind", "SSH_CONFIG": lines, "SSH_SERVER_HOSTKEYS": pins}
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku, **where))
    assert done.code == 0, done.output
    assert dokku.app("hello").running_revision == checkout.head


def test_accept_new_does_not_accept_another_key_than_the_pinned_one(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    other = "SHA256:" + "A" * 43
    env = settings_for(dokku, SSH_SERVER_HOSTKEYS=other, SSH_HOST_KEY_CHECKING="accept-new")
    done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 12, done.output
    assert f"but the pinned key is {other}" in done.output


def test_unpinned_host_key_is_refused_with_the_line_to_set(
    dokku: DokkuStandIn, checkout: Checkout, golden: Golden
) -> None:
    env = settings_for(dokku)
    del env["SSH_SERVER_HOSTKEYS"]
    done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 12
    golden("ssh/no host key is pinned", done.output)
    assert dokku.fingerprints["ed25519"] in done.output
    line = next(line for line in dokku.known_hosts.splitlines() if "ed25519" in line)
    assert f"SSH_SERVER_HOSTKEYS='{line}'" in done.output
    assert "no host key is pinned" in done.output
    assert [call.raw for call in dokku.calls()] == ["apps:create hello"]


def test_changed_host_key_is_refused_naming_both(
    dokku: DokkuStandIn, checkout: Checkout, golden: Golden
) -> None:
    other = "SHA256:" + "A" * 43
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku, SSH_SERVER_HOSTKEYS=other))
    assert done.code == 12
    golden("ssh/another host key", done.output)
    assert f"but the pinned key is {other}" in done.output


def test_key_that_the_server_does_not_know_is_refused_with_its_fingerprint(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path, golden: Golden
) -> None:
    key = tmp_path / "stranger"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    env = settings_for(dokku, SSH_PRIVATE_KEY=key.read_text())
    done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 12
    golden("ssh/the key is refused", done.output)
    assert "rejects the key" in done.output
    assert "SHA256:" in done.output


def test_key_that_may_not_run_a_command_is_12_and_nothing_is_taken_for_empty(
    dokku: DokkuStandIn, checkout: Checkout, golden: Golden
) -> None:
    """As the dokku-acl plugin refuses it: without the app's config we must not go on."""
    text = "User ci does not have permissions to run config:export on hello"
    dokku.faults(Fault("config:export", "refuse", text=text))
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku))
    assert done.code == 12
    golden("dokku/access is denied", done.output)
    assert f"Dokku denies access: {text}" in done.output
    assert not [call for call in dokku.calls() if re.search("receive-pack|:set", call.raw)]


@pytest.mark.long
def test_server_that_cannot_be_reached_is_11_and_was_tried_again(
    dokku: DokkuStandIn, checkout: Checkout, golden: Golden
) -> None:
    """Takes half a minute: so long it waits between its tries, and all of that is promised."""
    env = settings_for(dokku, DOKKU_HOST="dokku@127.0.0.1:9")
    done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 11
    golden("ssh/the server cannot be reached", done.output)
    assert "Connection refused" in done.output
    assert "Trying again" in done.output


def _rails(tmp_path: Path) -> Checkout:
    checkout = Checkout(
        tmp_path / "rails",
        {
            "Procfile": "worker: sleep 600\n",
            "Gemfile": "gem 'rails'\n",
            "config/application.rb": "",
            "bin/rails": '#!/bin/sh\necho rails "$1"\n',
        },
    )
    (checkout.path / "bin/rails").chmod(0o755)
    checkout.commit("Executable")
    return checkout


def _gitlab(checkout: Checkout) -> dict[str, str]:
    return {
        "GITLAB_CI": "true",
        "CI": "true",
        "CI_JOB_ID": "7",
        "CI_PROJECT_DIR": str(checkout.path),
        "CI_COMMIT_SHA": checkout.head,
        "CI_COMMIT_REF_NAME": "main",
        "CI_COMMIT_BRANCH": "main",
        "CI_DEFAULT_BRANCH": "main",
        "CI_ENVIRONMENT_NAME": "staging",
        "CI_PIPELINE_IID": "12",
        "CI_PIPELINE_SOURCE": "push",
        "CI_PROJECT_URL": "https://gitlab.example.com/acme/hello",
        "CI_JOB_URL": "https://gitlab.example.com/acme/hello/-/jobs/7",
        "GITLAB_USER_LOGIN": "jane",
    }


def _github(checkout: Checkout, tmp_path: Path) -> dict[str, str]:
    files = {name: tmp_path / name for name in ("output", "summary", "event.json")}
    files["event.json"].write_text("{}")
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_WORKSPACE": str(checkout.path),
        "GITHUB_SHA": checkout.head,
        "GITHUB_REF_NAME": "main",
        "GITHUB_REF_TYPE": "branch",
        "GITHUB_REPOSITORY": "acme/hello",
        "GITHUB_SERVER_URL": "https://github.example.com",
        "GITHUB_RUN_ID": "99",
        "GITHUB_RUN_NUMBER": "12",
        "GITHUB_EVENT_NAME": "push",
        "GITHUB_EVENT_PATH": str(files["event.json"]),
        "GITHUB_ACTOR": "jane",
        "GITHUB_OUTPUT": str(files["output"]),
        "GITHUB_STEP_SUMMARY": str(files["summary"]),
    }


def _parse_outputs(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    lines = iter(text.split("\n"))
    for line in lines:
        name, separator, delimiter = line.partition("<<")
        if separator:
            value = []
            for part in lines:
                if part == delimiter:
                    break
                value.append(part)
            found[name] = "\n".join(value)
    return found
