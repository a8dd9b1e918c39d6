"""PRE_DEPLOY_COMMAND and POST_DEPLOY_COMMAND on a stand-in Dokku, with true exit codes."""

from __future__ import annotations

import pytest

from ci_deploy.layers.applications.commands import commands
from standins.dokku.server import DokkuStandIn
from standins.support import Checkout, run, settings_for

UNFINISHED = "CI_DEPLOY_UNFINISHED"


def test_commands_run_in_the_old_and_in_the_new_release(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    checkout.commit("Old", {"which": "the old one\n"})
    env = settings_for(dokku, PRE_DEPLOY_COMMAND="cat which", POST_DEPLOY_COMMAND="cat which")
    done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 0, done.output
    assert "PRE_DEPLOY_COMMAND is skipped: no release runs yet" in done.output
    assert done.output.count("the old one") == 1
    checkout.commit("New", {"which": "the new one\n"})
    done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 0, done.output
    order = ["the old one", "→ push", "the new one"]
    assert sorted(order, key=done.output.index) == order
    assert UNFINISHED not in dokku.app("hello").config


def test_failing_command_before_the_deploy_stops_it(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    assert run("deploy", cwd=checkout.path, env=settings_for(dokku)).code == 0
    good = checkout.head
    checkout.commit("Second")
    env = settings_for(dokku, PRE_DEPLOY_COMMAND="true\nsh -c 'exit 17'\ntouch never")
    done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 20, done.output
    assert "PRE_DEPLOY_COMMAND failed with exit code 17: sh -c 'exit 17'" in done.output
    assert "touch never" not in done.output
    assert dokku.app("hello").running_revision == good


def test_failing_command_after_the_deploy_is_22_and_the_next_run_tries_again(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    env = settings_for(dokku, POST_DEPLOY_COMMAND="sh -c 'test -e ../ready || exit 3'")
    done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 22, done.output
    assert "POST_DEPLOY_COMMAND failed with exit code 3" in done.output
    assert "post-deploy-command" in dokku.app("hello").config[UNFINISHED]
    again = settings_for(dokku, POST_DEPLOY_COMMAND="echo once more")
    done = run("deploy", cwd=checkout.path, env=again)
    assert (done.code, done.report["status"]) == (0, "skipped")
    assert "once more" in done.output
    assert UNFINISHED not in dokku.app("hello").config
    assert "once more" not in run("deploy", cwd=checkout.path, env=again).output


def test_plan_names_the_commands_and_runs_none(dokku: DokkuStandIn, checkout: Checkout) -> None:
    assert run("deploy", cwd=checkout.path, env=settings_for(dokku)).code == 0
    checkout.commit("Second")
    env = settings_for(dokku, PRE_DEPLOY_COMMAND="echo 1", POST_DEPLOY_COMMAND="echo 2")
    done = run("ci-deploy", "plan", cwd=checkout.path, env=env)
    assert "run echo 1 in hello" in done.report["changes"]
    assert "run echo 2 in hello" in done.report["changes"]
    assert not any(call.raw.startswith("run") for call in dokku.calls())


def test_what_only_a_shell_understands_is_refused_with_what_to_write(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    env = settings_for(dokku, POST_DEPLOY_COMMAND="bin/a && bin/b", PRE_DEPLOY_COMMAND="echo 'x")
    done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 2
    assert "`&&` has no effect. Write sh -c 'bin/a && bin/b'" in done.output
    assert "PRE_DEPLOY_COMMAND: `echo 'x`: no closing" in done.output


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bin/x 'a b' $HOME", (("bin/x", "a b", "$HOME"),)),
        ("\n a \n\nb c\n", (("a",), ("b", "c"))),
        ("LEVEL=2 bin/x", (("env", "LEVEL=2", "bin/x"),)),
    ],
)
def test_lines_become_commands(text: str, words: tuple[tuple[str, ...], ...]) -> None:
    assert commands(text) == words


def test_command_of_a_release_runs_in_it_before_it_serves(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    """For migrations of any framework."""
    assert run("deploy", cwd=checkout.path, env=settings_for(dokku)).code == 0
    good = checkout.head
    checkout.commit("New", {"which": "the new one\n"})
    env = settings_for(dokku, RELEASE_COMMAND="cat which\nsh -c 'exit 9'")
    done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 20, done.output
    assert "the new one" in done.output
    assert "RELEASE_COMMAND failed with exit code 9: sh -c 'exit 9'" in done.output
    assert dokku.app("hello").running_revision == good
    done = run("deploy", cwd=checkout.path, env={**env, "RELEASE_COMMAND": "cat which"})
    assert done.code == 0, done.output
    assert dokku.app("hello").running_revision == checkout.head
