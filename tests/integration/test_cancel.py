"""A cancelled run leaves cleanly: in time, with its children, with the truth."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from standins.dokku.client import Client
from standins.dokku.server import DokkuStandIn, Fault
from standins.support import Checkout, Run, alive, run, settings_for, until
from standins.webhooks import webhooks
from tests.golden import Golden


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["TERM", "INT"]
)
def test_cancel_in_the_middle_of_a_push(
    dokku: DokkuStandIn, checkout: Checkout, signum: signal.Signals, code: int
) -> None:
    assert run("deploy", cwd=checkout.path, env=settings_for(dokku)).code == 0
    good = checkout.head
    checkout.commit("Second")
    dokku.configure(build_seconds=30.0)
    with webhooks() as hook, TemporaryDirectory(prefix="t", dir="/tmp") as private:
        env = settings_for(dokku, MATTERMOST_WEBHOOK_URL=hook.url, TMPDIR=private)
        running = Run("deploy", cwd=checkout.path, env=env)
        running.wait_for("Building hello")
        until(lambda: bool(hook.titles), 30.0)  # a notice that is on its way is not waited for
        assert os.listdir(private)
        children = _descendants(running.process.pid)
        assert len(children) >= 3  # the agent, the connection, git
        started = time.monotonic()
        running.signal(signum)
        done = running.done(timeout=10)
        assert time.monotonic() - started < 5.0
        assert os.listdir(private) == []
    assert done.code == code
    assert f"cancelled: hello still runs {good[:7]}" in done.output
    assert done.report["status"] == "cancelled"
    until(lambda: not [pid for pid in children if alive(pid)], 5.0)
    assert [title.split(":")[1].split()[0] for title in hook.titles] == ["deploying", "cancelled"]


def test_killed_run_leaves_no_agent_with_the_key_and_no_connection(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    """Nobody else would end them: each has to notice that we are gone."""
    dokku.configure(build_seconds=2.0)
    running = Run("deploy", cwd=checkout.path, env=settings_for(dokku))
    running.wait_for("Building hello")
    children = _descendants(running.process.pid)
    assert len(children) >= 3
    running.signal(signal.SIGKILL)
    running.done(timeout=10)
    until(lambda: not [pid for pid in children if alive(pid)])


def test_killed_run_leaves_no_private_directory(dokku: DokkuStandIn, checkout: Checkout) -> None:
    """The agent's wrapper outlives us, and removes it. While we live, only we can read what is in
    it (faults J9)."""
    dokku.configure(build_seconds=2.0)
    with TemporaryDirectory(prefix="t", dir="/tmp") as private:
        env = settings_for(dokku, TMPDIR=private, APP_CONFIG="TOKEN=abcdefgh")
        running = Run("deploy", cwd=checkout.path, env=env)
        running.wait_for("Building hello")
        ours = [path for path in Path(private).rglob("ssh/*") if path.is_file()]
        assert len(ours) >= 3
        assert {path.stat().st_mode & 0o077 for path in ours} == {0}
        running.signal(signal.SIGKILL)
        running.done(timeout=10)
        until(lambda: not os.listdir(private), 5.0)
        time.sleep(1.2)
        assert os.listdir(private) == []


def test_cancel_before_anything_was_changed_says_so_and_keeps_the_code(
    dokku: DokkuStandIn, checkout: Checkout, golden: Golden
) -> None:
    """What is live is told, or that it is unknown (faults J11)."""
    dokku.faults(Fault("apps:report", "hang"))
    running = Run("deploy", cwd=checkout.path, env=settings_for(dokku))
    until(lambda: any("apps:report" in call.raw for call in dokku.calls()))
    running.signal(signal.SIGTERM)
    done = running.done(timeout=10)
    assert done.code == 143
    golden("dokku/cancelled before a change", done.output)
    assert done.seconds < 15
    assert "cancelled: nothing was changed. What hello runs is unknown; check with" in done.output


def test_cancel_while_the_server_hangs_still_ends_in_time(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    """What is live cannot be asked then; "unknown" is the truth."""
    dokku.configure(build_seconds=30.0)
    running = Run("deploy", cwd=checkout.path, env=settings_for(dokku))
    running.wait_for("Building hello")
    dokku.faults(Fault("connect", "hang"))
    started = time.monotonic()
    running.signal(signal.SIGTERM)
    done = running.done(timeout=10)
    assert time.monotonic() - started < 5.0
    assert done.code == 143
    assert "What hello runs is unknown; check with" in done.output


def test_cancel_while_notices_wait_for_a_dead_server_ends_in_time(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    """Everything is done then; the closing message has the last seconds, not all fifteen."""
    with webhooks() as hook:
        hook.first, hook.answer = [200], "hang"
        env = settings_for(dokku, MATTERMOST_WEBHOOK_URL=hook.url)
        running = Run("deploy", cwd=checkout.path, env=env)
        until(lambda: len(hook.requests) == 2)
        started = time.monotonic()
        running.signal(signal.SIGTERM)
        done = running.done(timeout=10)
        assert time.monotonic() - started < 5.0
    assert (done.code, done.report["status"]) == (143, "cancelled"), done.output
    assert f"cancelled: hello runs {checkout.head[:7]}" in done.output
    [warning] = done.report["warnings"]
    assert warning.startswith("mattermost: not sent within")


def test_child_that_was_killed_first_counts_as_a_cancel_and_not_as_a_failure(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    """GitLab's cancel sends TERM to the highest process ids first, to us last."""
    dokku.configure(build_seconds=30.0)
    running = Run("deploy", cwd=checkout.path, env=settings_for(dokku))
    running.wait_for("Building hello")
    for pid in sorted(_descendants(running.process.pid), reverse=True):
        with contextlib.suppress(ProcessLookupError):  # ended with what was killed before it
            os.kill(pid, signal.SIGTERM)
    time.sleep(0.05)
    running.signal(signal.SIGTERM)
    done = running.done(timeout=10)
    assert done.code == 143, done.output
    assert done.report["status"] == "cancelled"


@pytest.mark.parametrize("signalled", [True, False], ids=["we-too", "only-git"])
def test_session_of_git_that_is_cut_while_our_connection_stands_is_asked_about(
    dokku: DokkuStandIn, checkout: Checkout, signalled: bool
) -> None:
    """GitLab's cancel kills git's ssh seconds before our master and us; git then ends with 128
    (faults D1)."""
    assert run("deploy", cwd=checkout.path, env=settings_for(dokku)).code == 0
    good = checkout.head
    checkout.commit("Second")
    dokku.configure(delay=2.0)  # nothing is said before the session is cut
    running = Run("deploy", cwd=checkout.path, env=settings_for(dokku))
    running.wait_for("→ push")
    pushes: list[int] = []
    while not pushes:
        pushes = [pid for pid in _descendants(running.process.pid) if "receive-pack" in _argv(pid)]
    for pid in sorted(pushes, reverse=True):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    dokku.configure(delay=0.0)
    running.wait_for("the ssh session was lost during the deploy; asking the server")
    if signalled:
        running.signal(signal.SIGTERM)
    done = running.done(timeout=40)
    assert done.code == (143 if signalled else 20), done.output
    assert f"hello still runs {good[:7]}" in done.output
    assert ("the server reports no new deploy" in done.output) is not signalled


@pytest.mark.parametrize("signalled", [True, False], ids=["cancel", "no cancel"])
def test_connection_that_is_lost_over_a_question_is_made_again(
    dokku: DokkuStandIn, checkout: Checkout, signalled: bool
) -> None:
    """GitLab's cancel kills all that we have started whole seconds before us: without having asked
    again it was a failure, exit code 11 (faults D1)."""
    dokku.configure(delay=3.0)
    running = Run("deploy", cwd=checkout.path, env=settings_for(dokku))
    sessions: list[int] = []
    while not sessions:
        assert running.process.poll() is None
        sessions = [pid for pid in _descendants(running.process.pid) if "apps:report" in _argv(pid)]
    [connection] = [pid for pid in _descendants(running.process.pid) if " -M " in _argv(pid)]
    os.kill(connection, signal.SIGTERM)
    time.sleep(1.5 if signalled else 0.0)  # the agent is killed next, and then we
    dokku.configure(delay=0.0)
    if signalled:
        running.signal(signal.SIGTERM)
    done = running.done(timeout=60)
    assert done.code == (143 if signalled else 0), done.output


def test_agent_that_is_killed_in_the_middle_of_a_handshake_is_a_lost_agent(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path
) -> None:
    """GitLab's cancel takes whole seconds for each process: the connection dies, we connect again,
    and then the agent dies. The server refuses nothing then, and our build is cancelled
    (faults D1)."""
    dokku.configure(build_seconds=30.0)
    slow = tmp_path / "slow"
    to = f"exec 3<>/dev/tcp/{dokku.host}/{dokku.port}; cat <&3 & cat >&3"
    relay = f"ProxyCommand bash -c '[ ! -e {slow} ] || sleep 2; {to}'"
    pins = dokku.known_hosts.replace(f"[{dokku.host}]:{dokku.port}", "behind")
    where = {"DOKKU_HOST": f"{dokku.user}@behind", "SSH_SERVER_HOSTKEYS": pins}
    where["SSH_CONFIG"] = f"Host behind\n  {relay}\n"
    running = Run("deploy", cwd=checkout.path, env=settings_for(dokku, **where))
    running.wait_for("Building hello")
    slow.touch()
    children = _descendants(running.process.pid)
    named = {pid: _argv(pid) for pid in children}
    agent = [
        pid for pid, name in named.items() if "ssh-agent" in name or name.split()[0].endswith("cat")
    ]
    ssh = [pid for pid, name in named.items() if "ssh -F" in name and "agent" not in name]
    for pid in sorted(ssh, reverse=True):
        os.kill(pid, signal.SIGTERM)
    running.wait_for("the connection was lost")
    for pid in agent:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    slow.unlink()
    time.sleep(3.0)
    running.signal(signal.SIGTERM)
    done = running.done(timeout=10)
    assert done.code == 143, done.output
    assert "rejects the key" not in done.output
    assert any("builds:cancel" in call.raw for call in dokku.calls()), done.output


def test_quieted_workers_are_restarted_by_a_cancelled_run(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout
) -> None:
    _rails(checkout)
    naive.dokku("ps:scale hello worker=1")
    env = settings_for(dokku, SIDEKIQ_QUIET_ON_DEPLOY="true")
    assert run("deploy", cwd=checkout.path, env=env).code == 0
    first = dokku.app("hello").running["worker.1"]
    checkout.commit("Second")
    dokku.configure(build_seconds=30.0)
    running = Run("deploy", cwd=checkout.path, env=env)
    running.wait_for("Building hello")
    running.signal(signal.SIGTERM)
    done = running.done(timeout=10)
    assert done.code == 143
    assert "restart worker of hello" in done.output
    # (a restart that was cut off after its three seconds is left to the next run: the note stays)
    until(
        lambda: (
            dokku.app("hello").running.get("worker.1") not in {None, first}
            or "restart-workers" in dokku.app("hello").config.get("CI_DEPLOY_UNFINISHED", "")
        )
    )


def test_run_after_a_kill_finishes_what_the_killed_one_left(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout
) -> None:
    """SIGKILL between quiet and restart: the workers must not stay quiet for ever."""
    _rails(checkout)
    naive.dokku("ps:scale hello worker=1")
    env = settings_for(dokku, SIDEKIQ_QUIET_ON_DEPLOY="true")
    assert run("deploy", cwd=checkout.path, env=env).code == 0
    checkout.commit("Second")
    hang = Fault("push", "hang", times=1)
    dokku.faults(hang)
    running = Run("deploy", cwd=checkout.path, env=env)
    until(lambda: dokku.struck(hang))
    running.signal(signal.SIGKILL)
    running.done(timeout=10)
    assert dokku.app("hello").config["CI_DEPLOY_UNFINISHED"]
    doctor = run("ci-deploy", "doctor", cwd=checkout.path, env=env)
    assert "an earlier run left tasks unfinished" in doctor.output
    quiet = dokku.app("hello").running["worker.1"]
    done = run("deploy", cwd=checkout.path, env={**env, "DEPLOY_REVISION": "HEAD~1"})
    assert done.code == 0, done.output
    assert done.report["status"] == "skipped"
    assert dokku.app("hello").running["worker.1"] != quiet
    assert "CI_DEPLOY_UNFINISHED" not in dokku.app("hello").config


def _rails(checkout: Checkout) -> None:
    """An app that looks like Rails; `bin/rails` notes what it is called for."""
    checkout.commit(
        "Rails",
        {
            "Gemfile": "gem 'rails'\n",
            "config/application.rb": "",
            "bin/rails": '#!/bin/sh\necho rails "$1"\n',
        },
    )
    (checkout.path / "bin/rails").chmod(0o755)
    checkout.commit("Executable")


def _argv(pid: int) -> str:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""


def _descendants(pid: int) -> list[int]:
    found = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *_descendants(int(child))]
    return found
