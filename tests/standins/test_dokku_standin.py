"""The stand-in behaves as Dokku is documented to, seen through plain ssh and plain git.

The numbers in the comments are those of the findings that ci-deploy is built on.
"""

from __future__ import annotations

import base64
import io
import json
import os
import shlex
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from standins.dokku import processes
from standins.dokku.client import Client, commit, new_repo
from standins.dokku.parsing import echoed, xargs
from standins.dokku.pids import start_time
from standins.dokku.server import DokkuStandIn, Fault
from standins.support import until

if TYPE_CHECKING:
    from collections.abc import Iterator

# An app without web process: deployed in a moment.
QUICK = {"Procfile": "worker: sleep 60\n"}


@pytest.fixture(scope="module")
def dokku(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DokkuStandIn]:
    state = tmp_path_factory.mktemp("dokku")
    with DokkuStandIn(state, delay=0.0, checks_wait=0.0) as standin:
        yield standin
    assert not [line for line in processes.children(os.getpid()) if _is_sshd(line)]


@pytest.fixture(scope="module")
def client(dokku: DokkuStandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    client = Client(dokku, tmp_path_factory.mktemp("home"))
    yield client
    client.close()


@pytest.fixture(scope="module")
def quick(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working copy of the quick app, for tests that do not change it."""
    return new_repo(client, tmp_path_factory.mktemp("quick") / "repo", QUICK)


@pytest.fixture(scope="module")
def deployed(client: Client, quick: Path) -> str:
    """An app that was deployed once, for tests that only look at it."""
    assert client.push(quick, "deployed").returncode == 0
    return "deployed"


@pytest.fixture
def server(dokku: DokkuStandIn) -> Iterator[DokkuStandIn]:
    """The shared server, for tests that change how it behaves."""
    yield dokku
    dokku.faults()
    dokku.configure(version="0.38.27", build_seconds=0.0)


def _is_sshd(pid: int) -> bool:
    return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").startswith("sshd")


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())


def revision_at(dokku: DokkuStandIn, app: str) -> str:
    return str(json.loads(get(dokku.app(app).url + "/health"))["revision"])


class BackgroundPush:
    """A push that runs while the test goes on."""

    def __init__(self, client: Client, repo: Path, app: str) -> None:
        self.client, self.app = client, app
        self.process = subprocess.Popen(
            ["git", "push", client.standin.git_url(app), "main:main"],
            cwd=repo,
            env=client.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def __enter__(self) -> Self:
        app = self.client.standin.app(self.app)
        until(lambda: app.exists and app.locked, what="the push holds the lock")
        return self

    def __exit__(self, *error: object) -> None:
        if any(error):
            self.process.kill()
        self.process.communicate()

    def finish(self) -> tuple[int, str]:
        output = self.process.communicate(timeout=20)[0]
        return self.process.returncode, output


# The whole way -------------------------------------------------------------------------------


def test_a_push_builds_runs_the_release_task_and_serves_the_revision(
    dokku: DokkuStandIn, client: Client, tmp_path: Path
) -> None:
    repo = new_repo(client, tmp_path / "hello")
    revision = commit(client, repo, {})
    pushed = client.push(repo, "whole")
    assert pushed.returncode == 0
    assert "remote: \x1b[1G=====> Application deployed:" in pushed.stderr
    assert f"       {dokku.app('whole').url}" in pushed.stderr
    assert "nothing to migrate" in pushed.stderr
    assert revision_at(dokku, "whole") == revision == dokku.app("whole").running_revision
    metadata = client.dokku("apps:report whole --app-deploy-source-metadata")
    assert metadata.stdout == f"{revision}\n"
    assert client.dokku("ps:report whole --running").stdout == "true\n"


def test_a_failing_release_task_rejects_the_push_and_the_old_revision_keeps_answering(
    dokku: DokkuStandIn, client: Client, tmp_path: Path
) -> None:
    repo = new_repo(client, tmp_path / "hello")
    good = commit(client, repo, {})
    client.push(repo, "release-fails")
    url = dokku.app("release-fails").url
    bad = commit(client, repo, {"release.py": "import sys; print('no such table'); sys.exit(1)\n"})
    pushed = client.push(repo, "release-fails")
    assert pushed.returncode == 1
    assert " !     Execution of release task failed: python3 release.py" in pushed.stderr
    assert "no such table" in pushed.stderr
    assert "[remote rejected] main -> main (pre-receive hook declined)" in pushed.stderr
    assert dokku.app("release-fails").url == url
    assert revision_at(dokku, "release-fails") == good
    # 8: GIT_REV is written before the build, so it names code that does not run.
    assert client.dokku("config:get release-fails GIT_REV").stdout.strip() == bad


def test_the_old_revision_answers_until_the_new_one_passed_its_checks_and_afterwards_the_new_one(
    server: DokkuStandIn, client: Client, tmp_path: Path
) -> None:
    repo = new_repo(client, tmp_path / "hello")
    old = commit(client, repo, {})
    client.push(repo, "switch")
    url = server.app("switch").url
    new = commit(client, repo, {"more": ""})
    server.configure(build_seconds=0.5)
    seen = []
    with BackgroundPush(client, repo, "switch") as push:
        while push.process.poll() is None:
            seen.append(json.loads(get(url + "/health"))["revision"])
    seen.append(revision_at(server, "switch"))
    assert seen[0] == old
    assert seen[-1] == new
    assert sorted(seen, key=[old, new].index) == seen


def test_a_web_process_that_does_not_start_fails_the_deploy_and_shows_its_output(
    dokku: DokkuStandIn, client: Client, tmp_path: Path
) -> None:
    files = {"Procfile": "web: python3 -c 'print(\"port taken\"); exit(3)'\n"}
    repo = new_repo(client, tmp_path / "repo", files)
    pushed = client.push(repo, "no-start")
    assert pushed.returncode == 1
    assert " !     Could not start due to 1 failed checks (web.1)" in pushed.stderr
    assert "port taken" in pushed.stderr
    assert "port taken" in client.dokku("logs:failed no-start").stdout
    assert client.dokku("ps:report no-start --deployed").stdout == "false\n"


def test_a_process_that_fails_after_the_switch_leaves_the_new_revision_live_and_the_push_rejected(
    dokku: DokkuStandIn, client: Client, tmp_path: Path
) -> None:
    app_json = json.dumps({"scripts": {"dokku": {"postdeploy": "exit 4"}}})
    repo = new_repo(client, tmp_path / "hello")
    revision = commit(client, repo, {"app.json": app_json})
    pushed = client.push(repo, "live-but-red")
    assert pushed.returncode == 1
    assert "Execution of postdeploy task failed: exit 4" in pushed.stderr
    assert revision_at(dokku, "live-but-red") == revision
    assert dokku.app("live-but-red").branches == {}


def test_app_json_tasks_run_in_order_and_seeding_only_once(
    dokku: DokkuStandIn, client: Client, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    scripts = {name: f"echo {name} >> {log}" for name in ("predeploy", "postdeploy")}
    app_json = {"scripts": {"dokku": scripts, "postdeploy": f"echo seed >> {log}"}}
    files = {"Procfile": f"release: echo release >> {log}\n", "app.json": json.dumps(app_json)}
    repo = new_repo(client, tmp_path / "repo", files)
    client.push(repo, "tasks")
    commit(client, repo, {"more": ""})
    client.push(repo, "tasks")
    first = ["predeploy", "release", "seed", "postdeploy"]
    assert log.read_text(encoding="utf-8").split() == [*first, "predeploy", "release", "postdeploy"]


def test_a_required_variable_without_value_fails_the_deploy(client: Client, tmp_path: Path) -> None:
    app_json = json.dumps({"env": {"SECRET_KEY": {"required": True}, "MODE": {"value": "web"}}})
    repo = new_repo(client, tmp_path / "repo", {**QUICK, "app.json": app_json})
    pushed = client.push(repo, "needs-env")
    assert pushed.returncode == 1
    assert "required env var SECRET_KEY has no value" in pushed.stderr
    assert " !     App build failed" in pushed.stderr
    client.dokku("config:set --no-restart needs-env SECRET_KEY=x")
    assert client.push(repo, "needs-env").returncode == 0
    assert client.dokku("config:get needs-env MODE").stdout == "web\n"


def test_a_monorepo_directory_is_built_when_the_build_dir_says_so(
    dokku: DokkuStandIn, client: Client, tmp_path: Path
) -> None:
    files = {f"services/api/{name}": text for name, text in QUICK.items()}
    repo = new_repo(client, tmp_path / "repo", files)
    client.dokku("apps:create mono")
    assert "Unable to select a buildpack" in client.push(repo, "mono").stderr
    client.dokku("builder:set mono build-dir services/api")
    assert client.push(repo, "mono").returncode == 0
    live = dokku.app("mono").live
    assert live is not None
    assert live.directory.endswith("/services/api")


# 1, 2, 3: pushes that deploy nothing, or more than they say -----------------------------------


def test_a_push_to_another_branch_exits_0_and_deploys_nothing(
    dokku: DokkuStandIn, client: Client, quick: Path
) -> None:
    client.dokku("apps:create branch")
    client.dokku("git:set branch deploy-branch production")
    pushed = client.push(quick, "branch", "main:main")
    assert pushed.returncode == 0
    assert "WARNING: deploy did not complete, you must push to production." in pushed.stderr
    assert "-----> for example, try 'git push <dokku> main:production'" in pushed.stderr
    assert dokku.app("branch").releases == 0
    assert list(dokku.app("branch").branches) == ["main"]


def test_an_invalid_deploy_branch_setting_exits_0_and_deploys_nothing(
    dokku: DokkuStandIn, client: Client, quick: Path
) -> None:
    client.dokku("apps:create bad-branch")
    client.dokku("git:set bad-branch deploy-branch a..b")
    pushed = client.push(quick, "bad-branch")
    assert pushed.returncode == 0
    assert "WARNING: Invalid branch name 'a..b' specified via deploy-branch" in pushed.stderr
    assert dokku.app("bad-branch").releases == 0


def test_the_first_pushed_branch_becomes_the_deploy_branch(client: Client, quick: Path) -> None:
    client.dokku("apps:create adopts")
    assert client.dokku("git:report adopts --git-computed-deploy-branch").stdout == "master\n"
    assert "-----> Set main as deploy-branch" in client.push(quick, "adopts").stderr
    assert client.dokku("git:report adopts --git-deploy-branch").stdout == "main\n"


def test_pushing_the_same_revision_again_exits_0_and_deploys_nothing(
    dokku: DokkuStandIn, client: Client, quick: Path
) -> None:
    client.push(quick, "same")
    pushed = client.push(quick, "same")
    assert pushed.returncode == 0
    assert "Everything up-to-date" in pushed.stderr
    assert dokku.app("same").releases == 1


def test_before_0_35_4_a_failing_release_task_is_accepted_and_pushing_again_deploys_nothing(
    server: DokkuStandIn, client: Client, tmp_path: Path
) -> None:
    server.configure(version="0.35.3")
    repo = new_repo(client, tmp_path / "repo", {"Procfile": "release: exit 1\n"})
    pushed = client.push(repo, "old-release")
    assert pushed.returncode == 0
    assert "Execution of release task failed: exit 1" in pushed.stderr
    assert "Everything up-to-date" in client.push(repo, "old-release").stderr
    assert server.app("old-release").running_revision == ""


def test_a_shallow_push_deploys_everything_and_is_rejected_then(
    dokku: DokkuStandIn, client: Client, tmp_path: Path
) -> None:
    repo = new_repo(client, tmp_path / "repo", QUICK)
    revision = commit(client, repo, {"second": ""})
    client.git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{repo}", "shallow")
    pushed = client.push(tmp_path / "shallow", "shallow")
    assert pushed.returncode == 1
    assert "Application deployed:" in pushed.stderr
    assert "[remote rejected] main -> main (shallow update not allowed)" in pushed.stderr
    assert dokku.app("shallow").running_revision == revision
    assert dokku.app("shallow").branches == {}


def test_a_rewritten_history_is_refused_by_git_itself(
    dokku: DokkuStandIn, client: Client, tmp_path: Path
) -> None:
    repo = new_repo(client, tmp_path / "repo", QUICK)
    client.push(repo, "rewritten")
    client.git(repo, "commit", "--quiet", "--amend", "--message", "another")
    assert "[rejected]" in client.push(repo, "rewritten").stderr
    assert dokku.app("rewritten").releases == 1
    assert client.push(repo, "rewritten", "main:main", "--force").returncode == 0


# 4, 5: locks ---------------------------------------------------------------------------------


def test_apps_lock_does_not_block_a_deploy_which_deletes_the_lock(
    dokku: DokkuStandIn, client: Client, quick: Path
) -> None:
    client.dokku("apps:create locked")
    assert client.dokku("apps:lock locked").stdout == "-----> Deploy lock created\n"
    assert client.dokku("apps:locked locked").stdout == "Deploy lock exists\n"
    assert client.push(quick, "locked").returncode == 0
    gone = client.dokku("apps:locked locked")
    assert (gone.returncode, gone.stderr) == (1, " !     Deploy lock does not exist\n")


def test_a_running_deploy_refuses_a_second_one_until_somebody_unlocks(
    server: DokkuStandIn, client: Client, quick: Path
) -> None:
    server.configure(build_seconds=4.0)
    with BackgroundPush(client, quick, "race") as first:
        server.configure(build_seconds=0.0)  # the first one, that holds the lock, has read it
        refused = client.push(quick, "race")
        unlocked = client.dokku("apps:unlock race")
        second = client.push(quick, "race")
        _, output = first.finish()
    assert refused.returncode == 1
    assert " !     race currently has a deploy lock in place. Exiting..." in refused.stderr
    assert "Run 'apps:unlock' to release the existing deploy lock" in refused.stderr
    assert "Removing the app lock will not stop in progress deploys." in unlocked.stderr
    assert "Application deployed:" in second.stderr
    assert "Application deployed:" in output
    assert server.app("race").releases == 2


def test_a_killed_deploy_leaves_its_lock_file_but_the_next_deploy_succeeds(
    server: DokkuStandIn, client: Client, quick: Path
) -> None:
    server.faults(Fault("build", "die", times=1))
    assert client.push(quick, "killed").returncode != 0
    assert server.app("killed").locked
    listed = json.loads(client.dokku("builds:list killed --format json").stdout)
    assert [build["display_status"] for build in listed] == ["abandoned"]
    assert client.push(quick, "killed").returncode == 0
    assert not server.app("killed").locked


# 7: clones -----------------------------------------------------------------------------------


def test_a_clone_keeps_the_database_address_and_a_new_link_gets_another_variable(
    dokku: DokkuStandIn, client: Client
) -> None:
    client.dokku("apps:create production")
    client.dokku("postgres:create main-db")
    client.dokku("postgres:link main-db production --no-restart")
    address = dokku.app("production").config["DATABASE_URL"]
    assert client.dokku("apps:clone --skip-deploy production review").returncode == 0
    assert dokku.app("review").config["DATABASE_URL"] == address
    assert dokku.services("postgres")["main-db"].links == ["production", "review"]
    client.dokku("postgres:create review-db")
    client.dokku("postgres:link review-db review --no-restart")
    config = dokku.app("review").config
    assert config["DATABASE_URL"] == address
    other = set(config) - {"DATABASE_URL"}
    assert len(other) == 1
    assert other.pop().startswith("DOKKU_POSTGRES_")
    assert client.dokku("apps:clone production review").returncode == 1
    assert client.dokku("apps:clone --ignore-existing production review").returncode == 0


def test_a_linked_service_cannot_be_destroyed_until_its_app_is_gone(
    dokku: DokkuStandIn, client: Client
) -> None:
    client.dokku("apps:create linked")
    client.dokku("redis:create cache")
    client.dokku("redis:link cache linked --no-restart")
    assert client.dokku("redis:linked cache linked").returncode == 0
    assert dokku.app("linked").config["REDIS_URL"].startswith("redis://:")
    dsn = client.dokku("redis:info cache --dsn").stdout.strip()
    assert dokku.app("linked").config["REDIS_URL"] == dsn
    again = client.dokku("redis:link cache linked")
    assert again.stderr == " !     Already linked as REDIS_URL\n"
    refused = client.dokku("redis:destroy cache --force")
    assert (refused.returncode, refused.stderr) == (1, " !     Cannot delete linked service\n")
    assert client.dokku("apps:destroy linked --force").returncode == 0
    assert client.dokku("redis:destroy cache --force").returncode == 0
    assert dokku.services("redis") == {}
    created = client.dokku("redis:create 'a b'")
    assert created.returncode == 1


# 8: what the server says about revisions -----------------------------------------------------


def test_git_sha_is_the_literal_word_head_when_the_deploy_branch_is_not_master(
    server: DokkuStandIn, client: Client, quick: Path, deployed: str
) -> None:
    revision = client.git(quick, "rev-parse", "HEAD").stdout.strip()
    client.push(quick, "on-master", "main:master")
    assert client.dokku("git:report deployed --git-sha").stdout == "HEAD\n"
    assert client.dokku("git:report on-master --git-sha").stdout == f"{revision}\n"
    server.configure(version="0.33.9")
    assert client.dokku("git:report on-master --git-sha").stdout == f"{revision[:7]}\n"
    assert client.dokku("git:report deployed --git-deploy-branch").stdout == "main\n"
    unknown = client.dokku("git:report deployed --git-computed-deploy-branch")
    assert unknown.returncode == 1
    assert "Invalid flag passed" in unknown.stderr


def test_reports_as_json_lose_the_prefix_of_their_keys_with_0_38(
    server: DokkuStandIn, client: Client
) -> None:
    client.dokku("apps:create reported")
    assert "locked" in json.loads(client.dokku("apps:report reported --format json").stdout)
    assert "sha" in json.loads(client.dokku("git:report reported --format json").stdout)
    server.configure(version="0.37.9")
    assert "app-locked" in json.loads(client.dokku("apps:report reported --format json").stdout)
    assert client.dokku("git:report reported --format json").returncode == 1


# 9: arguments --------------------------------------------------------------------------------


WORDS = [
    "plain",
    "two words",
    "it's",
    'say "hi" there',
    "$HOME `id` \\ *",
    "",
    "tab\there",
    "é",
    "a=b",
]


def test_quoted_words_arrive_unchanged(dokku: DokkuStandIn, client: Client) -> None:
    client.dokku("apps:create words")
    pairs = [f"WORD_{number}={word}" for number, word in enumerate(WORDS)]
    client.dokku(f"config:set --no-restart words {shlex.join(pairs)}")
    assert list(dokku.app("words").config.values()) == WORDS


def test_the_stand_in_splits_as_the_real_xargs_and_echo_do() -> None:
    texts = [
        """a 'b c' "d e" -e -n -E --foo '' x\\ y -ne end""",
        """run app sh -c 'echo "a b"' K='"v"' "it's" a'b'"c" """,
        "tab\tand  blanks  ",
        "-n",
    ]
    for text in texts:
        real = subprocess.run(
            ["xargs", "-n", "1"], input=text, capture_output=True, text=True, check=True
        )
        assert echoed(xargs(text)) == real.stdout.splitlines(), text


def test_options_that_echo_knows_never_arrive(client: Client, deployed: str) -> None:
    shown = client.dokku("run deployed python3 -c 'import sys; print(sys.argv[1:])' -n -e x")
    assert shown.stdout == "['', 'x']\n"
    helped = client.dokku("run deployed python3 --version")
    assert "coreutils" not in helped.stdout
    assert helped.returncode != 0
    # The way out: a shell, with the option inside its one word.
    assert client.dokku("run deployed sh -c 'echo -n x'").stdout == "x"


def test_git_commands_know_no_quotes_at_all(dokku: DokkuStandIn, client: Client) -> None:
    client.dokku("apps:create unquoted")
    client.dokku("git:set unquoted deploy-branch 'my branch'")
    assert dokku.app("unquoted").state.properties["git.deploy-branch"] == "'my"


def test_before_0_34_only_config_knows_quotes(
    server: DokkuStandIn, client: Client, deployed: str
) -> None:
    server.configure(version="0.33.9")
    assert client.dokku("run deployed echo 'a b'").stdout == "'a b'\n"
    client.dokku("config:set --no-restart deployed 'A=b c'")
    assert client.dokku("config:get deployed A").stdout == "b c\n"
    assert client.dokku("--version").stdout == "dokku version 0.33.9\n"


def test_options_before_the_command_reach_dokku_after_two_dashes(
    dokku: DokkuStandIn, client: Client
) -> None:
    client.dokku("apps:create doomed")
    assert client.dokku("--quiet apps:list").stdout.splitlines()[0] != "=====> My Apps"
    assert client.dokku("--force apps:destroy doomed").returncode == 0
    assert not dokku.app("doomed").exists


# Auto-creation, names, exit codes ------------------------------------------------------------


def test_looking_with_ls_remote_creates_the_app_unless_that_is_disabled(
    dokku: DokkuStandIn, client: Client, tmp_path: Path
) -> None:
    assert client.git(tmp_path, "ls-remote", dokku.git_url("typo")).returncode == 0
    assert dokku.app("typo").exists
    client.dokku("apps:set --global disable-autocreation true")
    refused = client.git(tmp_path, "ls-remote", dokku.git_url("typo2"))
    client.dokku("apps:set --global disable-autocreation")
    assert refused.returncode == 128
    assert " !     App auto-creation disabled." in refused.stderr
    assert "create an app with 'dokku apps:create typo2'" in refused.stderr
    assert not dokku.app("typo2").exists


def test_a_missing_app_exits_20_and_other_failures_1(client: Client) -> None:
    missing = client.dokku("apps:exists nowhere")
    assert (missing.returncode, missing.stdout) == (20, "")
    assert missing.stderr == " !     App nowhere does not exist\n"
    assert client.dokku("config:get nowhere KEY").returncode == 20
    bad = client.dokku("apps:create Big_Name")
    assert bad.returncode == 1
    assert "App name must begin with lowercase alphanumeric character" in bad.stderr
    client.dokku("apps:create taken")
    assert client.dokku("apps:create taken").stderr == " !     Name is already taken\n"


def test_what_is_not_modelled_is_refused_and_remembered(
    dokku: DokkuStandIn, client: Client
) -> None:
    refused = client.dokku("storage:list x")
    assert refused.returncode == 1
    assert refused.stderr.startswith(" !     `storage:list x` is not a dokku command.\n")
    assert dokku.unknown()[-1] == "storage:list x"


def test_a_key_added_by_hand_gets_a_shell_and_no_dokku_command(
    dokku: DokkuStandIn, client: Client, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    dokku.authorize(key.with_suffix(".pub").read_text(encoding="utf-8"), forced=False)
    other = Client(dokku, tmp_path / "home", multiplex=False)
    text = other.config.read_text(encoding="utf-8")
    text = text.replace(str(dokku.private_key_path), str(key))
    other.config.write_text(text, encoding="utf-8")
    refused = other.dokku("apps:exists whole")
    assert refused.returncode == 127
    assert "not found" in refused.stderr


# 10: builds ----------------------------------------------------------------------------------


def test_builds_exist_since_0_38_only(server: DokkuStandIn, client: Client, deployed: str) -> None:
    listed = json.loads(client.dokku("builds:list deployed --format json").stdout)
    assert [(each["status"], each["source"], each["exit_code"]) for each in listed] == [
        ("succeeded", "git-hook", 0)
    ]
    output = client.dokku(f"builds:output deployed {listed[0]['id']}").stdout
    assert "=====> Application deployed:" in output
    info = json.loads(client.dokku(f"builds:info deployed {listed[0]['id']} --format json").stdout)
    assert info["log_path"].endswith(f"{listed[0]['id']}.log")
    nothing = client.dokku("builds:cancel deployed").stdout
    assert nothing == "-----> App not currently deploying\n"
    server.configure(version="0.37.9")
    assert "is not a dokku command" in client.dokku("builds:list deployed").stderr


def test_cancel_kills_the_running_build_and_frees_the_lock(
    server: DokkuStandIn, client: Client, quick: Path
) -> None:
    server.configure(build_seconds=30.0)
    with BackgroundPush(client, quick, "cancelled") as push:
        until(lambda: server.app("cancelled").builds, what="a running build")
        running = json.loads(client.dokku("builds:list --format json").stdout)
        assert [build["app"] for build in running] == ["cancelled"]
        assert client.dokku("builds:cancel cancelled").stdout == "-----> Killing app deploy\n"
        assert push.finish()[0] != 0
    assert server.app("cancelled").builds[0]["status"] == "canceled"
    server.configure(build_seconds=0.0)
    assert client.push(quick, "cancelled").returncode == 0


# Config, processes, one-off commands ---------------------------------------------------------


def test_config_set_releases_a_deployed_app_again_and_no_restart_does_not(
    dokku: DokkuStandIn, client: Client, tmp_path: Path
) -> None:
    repo = new_repo(client, tmp_path / "hello")
    client.push(repo, "config")
    before = dokku.app("config").running
    quiet = client.dokku("config:set --no-restart config A=1")
    assert "Restarting" not in quiet.stdout
    assert dokku.app("config").running == before
    loud = client.dokku("config:set config A=2")
    assert "Executing release task from Procfile" in loud.stdout
    assert "=====> Application deployed:" in loud.stdout
    after = dokku.app("config").running
    assert set(after) == {"web.1"}
    assert after != before
    assert revision_at(dokku, "config") == dokku.app("config").running_revision
    assert [build["source"] for build in dokku.app("config").builds][-1] == "config-redeploy"
    client.dokku("ps:stop config")
    with pytest.raises(urllib.error.HTTPError, match="502"):
        get(dokku.app("config").url)
    assert client.dokku("ps:report config --running").stdout == "false\n"
    client.dokku("ps:start config")
    assert client.dokku("ps:report config --running").stdout == "true\n"


def test_config_values_go_in_encoded_and_come_out_in_all_formats(client: Client) -> None:
    value = 'line 1\nline "2" $x <'
    encoded = base64.b64encode(value.encode()).decode()
    client.dokku("apps:create formats")
    client.dokku(f"config:set --no-restart --encoded formats KEY={encoded}")
    client.dokku("config:set --no-restart formats NUMBER=1")
    exported = {
        name: client.dokku(f"config:export formats --format {name}").stdout
        for name in ("json", "envfile", "shell", "exports")
    }
    assert json.loads(exported["json"]) == {"KEY": value, "NUMBER": "1"}
    assert exported["envfile"] == 'KEY="line 1\\nline \\"2\\" \\$x <"\nNUMBER=1\n'
    assert exported["shell"] == f"KEY='{value}' NUMBER='1' "
    assert exported["exports"] == f"export KEY='{value}'\nexport NUMBER='1'\n"
    assert client.dokku("config:keys formats").stdout == "KEY\nNUMBER\n"
    missing = client.dokku("config:get formats NOPE")
    assert (missing.returncode, missing.stdout, missing.stderr) == (1, "", "")
    client.dokku("config:unset --no-restart formats KEY")
    assert client.dokku("config:keys formats").stdout == "NUMBER\n"


def test_run_uses_the_deployed_code_and_passes_the_exit_code_through(
    client: Client, tmp_path: Path
) -> None:
    client.dokku("apps:create oneoff")
    early = client.dokku("run oneoff true")
    assert early.returncode == 1
    assert "Successfully deploy your app to fix dokku run calls" in early.stderr
    files = {"Procfile": "worker: sleep 60\nhi: echo from the Procfile\n", "data": "deployed\n"}
    client.push(new_repo(client, tmp_path / "repo", files), "oneoff")
    assert client.dokku("run --no-tty oneoff cat data").stdout == "deployed\n"
    assert client.dokku("run oneoff sh -c 'exit 42'").returncode == 42
    assert client.dokku("run oneoff no-such-program").returncode == 127
    assert client.dokku("run --env=A=b oneoff sh -c 'echo $A'").stdout == "b\n"
    assert client.dokku("run oneoff hi there").stdout.endswith("from the Procfile there\n")
    name = client.dokku("run:detached oneoff echo later").stdout.strip()
    until(lambda: client.dokku(f"run:logs --container {name}").stdout == "later\n", what="output")


def test_processes_are_scaled_entered_and_reported(
    dokku: DokkuStandIn, client: Client, quick: Path
) -> None:
    client.push(quick, "workers")
    assert client.dokku("ps:report workers --running").stdout == "false\n"
    client.dokku("ps:scale workers worker=2")
    assert set(dokku.app("workers").running) == {"worker.1", "worker.2"}
    scale = json.loads(client.dokku("ps:scale workers --format json").stdout)
    assert scale == [{"process_type": "worker", "quantity": 2}]
    pid = dokku.app("workers").running["worker.1"]
    client.dokku("enter workers worker.1 kill -STOP 1")
    assert client.dokku("enter workers worker.1 pgrep sleep").stdout == f"{pid}\n"
    client.dokku("enter workers worker.1 sh -c 'kill -KILL 1'")
    until(lambda: client.dokku("ps:report workers --running").stdout == "mixed\n", what="mixed")
    status = client.dokku("ps:report workers --status-worker.2").stdout
    assert status.startswith("running (CID: ")


def test_a_build_can_be_made_without_going_live(
    server: DokkuStandIn, client: Client, tmp_path: Path
) -> None:
    repo = new_repo(client, tmp_path / "repo", {**QUICK, "data": "old"})
    client.push(repo, "staged")
    client.dokku("ps:set staged skip-deploy true")
    revision = commit(client, repo, {"data": "new"})
    pushed = client.push(repo, "staged")
    assert "-----> Skipping deployment" in pushed.stderr
    assert server.app("staged").running_revision != revision
    assert client.dokku("run staged cat data").stdout == "new"
    client.dokku("ps:set staged skip-deploy")
    assert client.dokku("deploy staged").returncode == 1  # the real one needs the image's tag
    assert client.dokku("deploy staged latest").returncode == 0
    assert server.app("staged").running_revision == revision
    server.configure(version="0.37.9")
    assert client.dokku("ps:set staged skip-deploy true").returncode == 1


# Other ways to deploy ------------------------------------------------------------------------


def test_an_archive_from_stdin_is_committed_and_deployed(
    dokku: DokkuStandIn, client: Client, quick: Path
) -> None:
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=quick, capture_output=True, check=True)
    client.dokku("apps:create archive")
    sent = client.dokku("git:from-archive archive --", archive.stdout)
    assert sent.returncode == 0
    assert "=====> Application deployed:" in sent.stdout
    assert list(dokku.app("archive").branches) == ["master"]
    assert client.dokku("apps:report archive --app-deploy-source").stdout == "tar\n"
    again = client.dokku("git:from-archive archive --", archive.stdout)
    assert again.returncode == 1
    assert "No changes detected, skipping git commit" in again.stdout


def test_an_image_is_deployed_and_the_same_one_again_exits_1(
    dokku: DokkuStandIn, client: Client, tmp_path: Path
) -> None:
    content = tmp_path / "image"
    content.mkdir()
    (content / "Procfile").write_text(QUICK["Procfile"], encoding="utf-8")
    dokku.image("registry/app:1", content)
    client.dokku("apps:create image")
    assert client.dokku("git:from-image image registry/app:1").returncode == 0
    metadata = client.dokku("apps:report image --app-deploy-source-metadata").stdout
    assert metadata == "registry/app:1\n"
    again = client.dokku("git:from-image image registry/app:1")
    assert again.returncode == 1
    missing = client.dokku("git:from-image image registry/app:2")
    assert "Failed to pull image: registry/app:2" in missing.stderr + missing.stdout


def test_rebuild_needs_code_and_builds_what_is_stored(
    dokku: DokkuStandIn, client: Client, quick: Path
) -> None:
    client.dokku("apps:create rebuilt")
    refused = client.dokku("ps:rebuild rebuilt")
    assert refused.returncode == 1
    assert "as there are no commits stored at that branch." in refused.stdout + refused.stderr
    client.push(quick, "rebuilt")
    assert client.dokku("ps:rebuild rebuilt").returncode == 0
    assert dokku.app("rebuilt").releases == 2


# Faults, recording, the server itself --------------------------------------------------------


def test_faults_refuse_delay_print_and_end_by_themselves(
    server: DokkuStandIn, client: Client, quick: Path
) -> None:
    server.faults(
        Fault("apps:list", "refuse", text="Access denied", times=1),
        Fault("version", "late", seconds=0.3),
        Fault("build", "print", text="::set-output name=x::y"),
    )
    refused = client.dokku("apps:list")
    assert (refused.returncode, refused.stderr) == (1, " !     Access denied\n")
    assert client.dokku("apps:list").returncode == 0
    started = time.monotonic()
    client.dokku("version")
    assert time.monotonic() - started > 0.3
    assert "::set-output name=x::y" in client.push(quick, "prints").stderr


def test_a_push_that_loses_its_connection_goes_live_all_the_same(
    server: DokkuStandIn, client: Client, tmp_path: Path
) -> None:
    server.faults(Fault("build", "drop", times=1))
    repo = new_repo(client, tmp_path / "hello")
    revision = commit(client, repo, {})
    alone = Client(server, tmp_path / "home", multiplex=False)
    assert alone.push(repo, "dropped").returncode != 0
    until(lambda: server.app("dropped").branches == {"main": revision}, what="live")
    assert revision_at(server, "dropped") == revision
    server.faults(Fault("config:set", "drop", finish=True, times=1))
    assert alone.dokku("config:set --no-restart dropped A=b").returncode == 255
    until(lambda: server.app("dropped").config.get("A") == "b", what="set")


def test_a_failure_right_after_the_switch_leaves_the_new_revision_live(
    server: DokkuStandIn, client: Client, quick: Path
) -> None:
    server.faults(Fault("live", "refuse", text="Failure after the switch", app="late"))
    pushed = client.push(quick, "late")
    assert pushed.returncode == 1
    assert " !     Failure after the switch" in pushed.stderr
    head = client.git(quick, "rev-parse", "HEAD").stdout.strip()
    assert server.app("late").running_revision == head
    assert client.dokku("apps:report late --app-deploy-source-metadata").stdout == "\n"


def test_a_command_that_hangs_is_ended_with_the_server(tmp_path: Path) -> None:
    with DokkuStandIn(tmp_path / "state", delay=0.0) as standin:
        standin.faults(Fault("version", "hang", text="one moment"))
        client = Client(standin, tmp_path / "home", multiplex=False)
        process = subprocess.Popen(client.command("version"), stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"one moment\n"
        call = standin.calls()[0]
        assert (call.argv, call.exit) == (["version"], None)
        server_side = int(call.id.partition(".")[0])
        assert start_time(server_side)
    assert process.wait(timeout=5) == 255
    process.stdout.close()
    assert not start_time(server_side)


def test_stopping_ends_the_apps_and_starting_again_finds_the_same_host_key(tmp_path: Path) -> None:
    standin = DokkuStandIn(tmp_path / "state", delay=0.0, checks_wait=0.0)
    with standin:
        client = Client(standin, tmp_path / "home")
        client.push(new_repo(client, tmp_path / "hello"), "stopped")
        url, fingerprints = standin.app("stopped").url, standin.fingerprints
        assert get(url).startswith("Hello")
    with pytest.raises(OSError, match="refused"):
        get(url)
    assert standin.app("stopped").running == {}
    assert standin.fingerprints == fingerprints


def test_commands_and_connections_are_recorded(
    dokku: DokkuStandIn, client: Client, tmp_path: Path
) -> None:
    alone = Client(dokku, tmp_path / "home", multiplex=False)
    before = len(dokku.connections())
    alone.dokku("version")
    alone.dokku("apps:exists 'no such'")
    first, second = dokku.calls()[-2:]
    assert (first.raw, first.argv, first.exit) == ("version", ["version"], 0)
    assert (second.argv, second.exit) == (["apps:exists", "no such"], 1)
    assert dokku.connections()[before:] == [first.connection, second.connection]


def test_ten_pushes_at_once_all_deploy(dokku: DokkuStandIn, client: Client, quick: Path) -> None:
    revision = client.git(quick, "rev-parse", "HEAD").stdout.strip()
    names = [f"many-{number}" for number in range(10)]
    with ThreadPoolExecutor(10) as pool:
        codes = list(pool.map(lambda name: client.push(quick, name).returncode, names))
    assert codes == [0] * 10
    assert {dokku.app(name).running_revision for name in names} == {revision}


def test_it_runs_by_hand_and_prints_what_a_client_needs(tmp_path: Path) -> None:
    command = ["python3", "-m", "standins.dokku", "--state", str(tmp_path / "state")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(10)]
        process.terminate()
    facts = dict(line.split(": ", 1) for line in lines)
    assert int(facts["port"]) > 1024
    assert "SHA256:" in facts["fingerprint"]
    assert process.returncode == 0


def test_an_unpacked_tar_may_not_escape(client: Client) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("../outside")
        archive.addfile(entry)
    client.dokku("apps:create escape")
    assert client.dokku("git:from-archive escape --", buffer.getvalue()).returncode == 1
