"""Repository hooks: the user's own programs, at the documented events, in a documented environ."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from ci_deploy.run.events import Event
from standins.dokku.server import DokkuStandIn
from standins.support import BIN, ROOT, Checkout, Done, run, settings_for


class Hooked(Checkout):
    """A checkout with hooks; each notes its name in `log`."""

    def __init__(self, path: Path) -> None:
        self.log = path.with_name("log")
        super().__init__(path, {"Procfile": "worker: sleep 600\n"})

    def hook(self, event: str, text: str = "", *, folder: str = ".ci-deploy") -> None:
        """Add one and commit."""
        program = f'#!/bin/sh\necho "{event} $DEPLOY_STATUS" >>{self.log}\n{text}\n'
        path = self.path / folder / event
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(program)
        path.chmod(0o755)
        self.commit(f"Hook {event}")

    @property
    def seen(self) -> list[str]:
        """The hooks that ran, in order."""
        return [line.strip() for line in self.log.read_text().splitlines()]


@pytest.fixture
def hooked(tmp_path: Path) -> Hooked:
    """An app with hooks."""
    return Hooked(tmp_path / "hooked")


def _deploy(server: DokkuStandIn, hooked: Hooked, **more: str) -> Done:
    return run("deploy", cwd=hooked.path, env=settings_for(server, **more))


def _names(text: str) -> list[str]:
    return re.findall(r"`([A-Z_]+)`", text)


def test_every_hook_of_a_deploy_runs_at_its_event(dokku: DokkuStandIn, hooked: Hooked) -> None:
    for event in Event:
        hooked.hook(event.value)
    done = _deploy(dokku, hooked)
    assert done.code == 0, done.output
    assert hooked.seen == [
        "configure",
        "provision",
        "pre_deploy",
        "deploy",
        "post_deploy",
        "deploy_succeeded succeeded",
    ]
    hooked.log.unlink()
    assert _deploy(dokku, hooked).report["status"] == "skipped"
    assert hooked.seen == ["deploy_skipped skipped"]


def test_hooks_of_a_rollback_run(dokku: DokkuStandIn, hooked: Hooked) -> None:
    assert _deploy(dokku, hooked).code == 0
    for event in ("rollback", "rollback_succeeded"):
        hooked.hook(event)
    assert _deploy(dokku, hooked).code == 0
    done = run("ci-deploy", "rollback", cwd=hooked.path, env=settings_for(dokku))
    assert done.code == 0, done.output
    assert hooked.seen == ["rollback", "rollback_succeeded succeeded"]


def test_environ_has_the_facts_and_the_jobs_variables_but_nothing_of_ours(
    dokku: DokkuStandIn, hooked: Hooked
) -> None:
    hooked.hook("post_deploy", "pwd; env | sort")
    secret = "s3cret-s3cret-s3cret"
    done = _deploy(
        dokku,
        hooked,
        DEPLOY_ENVIRONMENT="staging",
        MINE="my own",
        INPUT_X="1",
        COPY_OF_IT=f"x{secret}",
        RAILS_ENV="production",
        REALM="internal",
        APP_CONFIG="PASSENGER_APP_ENV=production\nKEYCLOAK_REALM=internal\n",
        SLACK_WEBHOOK_URL="",
        NOTIFY_WEBHOOK_SECRET=secret,
        HOME="/home/me",
    )
    assert done.code == 0, done.output
    shown = [line.partition("│ ")[2] for line in done.output.splitlines() if "│ " in line]
    environ = dict(line.split("=", 1) for line in shown if "=" in line)
    assert str(hooked.path) in shown
    assert environ["APP_NAME"] == "hello"
    assert environ["DEPLOY_REVISION"] == environ["DEPLOY_LIVE_REVISION"] == hooked.head
    assert environ["DEPLOY_ENVIRONMENT"] == "staging"
    assert environ["DEPLOY_EVENT"] == "post_deploy"
    assert environ["DEPLOY_COMMAND"] == "deploy"
    page = (ROOT / "docs/hooks.md").read_text(encoding="utf-8").partition("## Environ")[2]
    documented = {name for row in re.findall(r"(?m)^\| (`.*?) \|", page) for name in _names(row)}
    given = {name for name in environ if name.startswith("DEPLOY_")} | {"APP_NAME", "IS_REVIEW_APP"}
    assert documented == given & environ.keys()
    assert environ["MINE"] == "my own"
    assert environ["HOME"] == "/home/me"
    # ordinary words, although names in the app's config that look so have them as values
    assert (environ["RAILS_ENV"], environ["REALM"]) == ("production", "internal")
    ours = {"SSH_PRIVATE_KEY", "INPUT_X", "COPY_OF_IT", "NOTIFY_WEBHOOK_SECRET", "SSH_AUTH_SOCK"}
    assert not ours & environ.keys()
    assert "BEGIN OPENSSH" not in done.output


def test_failing_hook_is_its_events_failure(dokku: DokkuStandIn, hooked: Hooked) -> None:
    assert _deploy(dokku, hooked).code == 0
    good = hooked.head
    hooked.hook("pre_deploy", "echo not today; exit 9")
    done = _deploy(dokku, hooked)
    assert done.code == 20
    assert "pre_deploy · hooks: .ci-deploy/pre_deploy failed with exit code 9." in done.output
    assert dokku.app("hello").running_revision == good
    hooked.hook("pre_deploy")
    hooked.hook("post_deploy", "exit 3")
    assert _deploy(dokku, hooked).code == 22


def test_failing_hook_after_the_outcome_is_only_a_warning(
    dokku: DokkuStandIn, hooked: Hooked
) -> None:
    hooked.hook("deploy_succeeded", "exit 9")
    done = _deploy(dokku, hooked)
    assert done.code == 0
    assert done.report["warnings"] == [".ci-deploy/deploy_succeeded failed with exit code 9."]


def test_hook_that_hangs_is_stopped_with_all_that_it_started(
    dokku: DokkuStandIn, hooked: Hooked
) -> None:
    hooked.hook("pre_deploy", "sleep 300 & sleep 300")
    started = time.monotonic()
    done = _deploy(dokku, hooked, HOOK_TIMEOUT="1")
    assert time.monotonic() - started < 20
    assert done.code == 20, done.output
    told = r"run \.ci-deploy/pre_deploy: not finished after \d+ s, so it was stopped\."
    assert re.search(told, done.output)


def test_plan_names_the_hooks_and_runs_none(dokku: DokkuStandIn, hooked: Hooked) -> None:
    for event in ("pre_deploy", "post_deploy", "deploy_succeeded"):
        hooked.hook(event)
    done = run("ci-deploy", "plan", cwd=hooked.path, env=settings_for(dokku))
    assert done.code == 0, done.output
    for event in ("pre_deploy", "post_deploy", "deploy_succeeded"):
        assert f"run .ci-deploy/{event}" in done.report["changes"]
    assert not hooked.log.exists()


def test_hooks_that_cannot_run_are_told_all_at_once_with_what_to_do(
    dokku: DokkuStandIn, hooked: Hooked
) -> None:
    for event in ("configure", "pre_deploy", "post_deploy", "pre-deploi"):
        hooked.hook(event)
    (hooked.path / ".ci-deploy/configure").chmod(0o644)
    (hooked.path / ".ci-deploy/pre_deploy").write_bytes(b"#!/bin/sh\r\necho\r\n")
    (hooked.path / ".ci-deploy/post_deploy").write_text("echo\n")
    (hooked.path / ".ci-deploy/README.md").write_text("not a hook\n")
    done = _deploy(dokku, hooked)
    assert done.code == 2
    assert "4 settings are missing or wrong" in done.output
    assert "git update-index --chmod=+x .ci-deploy/configure" in done.output
    assert ".ci-deploy/pre_deploy: the hook has Windows line endings" in done.output
    assert ".ci-deploy/post_deploy: the first line is not like `#!/bin/sh`" in done.output
    assert "pre-deploi: the file is executable, but no event has its name. Did you" in done.output
    assert len(dokku.connections()) == 1  # the fixture's own


def test_missing_interpreter_is_a_failure_and_no_bug(dokku: DokkuStandIn, hooked: Hooked) -> None:
    hooked.hook("pre_deploy")
    hooked.commit("Ruby", {".ci-deploy/pre_deploy": "#!/no/such/ruby\n"})
    done = _deploy(dokku, hooked)
    assert done.code == 10, done.output
    assert "pre_deploy cannot be started" in done.output


def test_names_of_the_official_image_are_honoured_with_a_hint(
    dokku: DokkuStandIn, hooked: Hooked
) -> None:
    hooked.hook("ci-pre-deploy", 'echo "review: $IS_REVIEW_APP"', folder="bin")
    hooked.hook("ci-post-deploy", folder="bin")
    done = _deploy(dokku, hooked)
    assert done.code == 0, done.output
    assert hooked.seen == ["ci-pre-deploy", "ci-post-deploy"]
    assert "bin/ci-pre-deploy runs as the hook .ci-deploy/pre_deploy." in done.output
    assert "review: false" in done.output


def test_hooks_of_a_monorepo_are_those_of_the_app(dokku: DokkuStandIn, hooked: Hooked) -> None:
    hooked.commit("Part", {"shop/Procfile": "worker: sleep 600\n"})
    hooked.hook("pre_deploy", "echo at the top")
    hooked.hook("pre_deploy", "pwd", folder="shop/.ci-deploy")
    done = _deploy(dokku, hooked, APP_DIR="shop")
    assert done.code == 0, done.output
    assert f"│ {hooked.path}/shop" in done.output
    assert "at the top" not in done.output


def test_hooks_are_those_of_the_revision_and_not_of_the_checkout(
    dokku: DokkuStandIn, hooked: Hooked
) -> None:
    """A stranger's branch is checked out, another revision is deployed. (faults J4)"""
    hooked.hook("pre_deploy", "echo from $(cat words)")
    good = hooked.commit("Words", {"words": "the revision"})
    hooked.git("checkout", "--quiet", "-b", "strange")
    for event in ("configure", "pre_deploy", "deploy_succeeded"):
        hooked.hook(event, "echo from a stranger")
    hooked.commit("Words", {"words": "a stranger"})
    done = _deploy(dokku, hooked, DEPLOY_REVISION=good)
    assert done.code == 0, done.output
    assert hooked.seen == ["pre_deploy"]
    assert "from the revision" in done.output
    assert "a stranger" not in done.output
    assert (
        f"the checkout or its hooks differ from {good[:7]}: the hooks run in a copy of {good[:7]}."
        in done.output
    )


def test_hook_that_the_job_has_changed_is_not_run_but_the_committed_one_is(
    dokku: DokkuStandIn, hooked: Hooked
) -> None:
    """(faults J4)"""
    hooked.hook("pre_deploy", "echo as committed")
    for event in ("pre_deploy", "post_deploy"):
        path = hooked.path / ".ci-deploy" / event
        path.write_text("#!/bin/sh\necho made by the job\n")
        path.chmod(0o755)
    done = _deploy(dokku, hooked)
    assert done.code == 0, done.output
    assert "as committed" in done.output
    assert "made by the job" not in done.output
    assert done.report["warnings"] == [
        (
            f".ci-deploy/post_deploy is not run: {hooked.head[:7]}, whose hooks run, does not "
            "contain it. If it is not committed, commit it."
        )
    ]


def test_hooks_that_only_the_revision_has_are_run(dokku: DokkuStandIn, hooked: Hooked) -> None:
    """(faults J4)"""
    hooked.hook("pre_deploy", "echo here it is")
    good = hooked.head
    hooked.git("rm", "-r", "--quiet", ".ci-deploy")
    hooked.commit("No hooks")
    done = _deploy(dokku, hooked, DEPLOY_REVISION=good)
    assert done.code == 0, done.output
    assert "here it is" in done.output


def test_merge_of_the_platform_is_the_revisions_own_checkout(
    dokku: DokkuStandIn, hooked: Hooked
) -> None:
    """actions/checkout of a pull request. (faults J4)"""
    hooked.git("checkout", "--quiet", "-b", "change")
    hooked.hook("pre_deploy", "pwd")
    head = hooked.head
    hooked.git("checkout", "--quiet", "main")
    hooked.commit("Meanwhile", {"other": "1"})
    hooked.git("merge", "--quiet", "--no-ff", "-m", "Merge", "change")
    done = _deploy(dokku, hooked, DEPLOY_REVISION=head)
    assert done.code == 0, done.output
    assert f"│ {hooked.path}" in done.output


def test_hook_that_cannot_run_in_the_revision_is_told_before_anything_is_changed(
    dokku: DokkuStandIn, hooked: Hooked
) -> None:
    """(faults J4)"""
    hooked.commit("Broken", {".ci-deploy/pre_deploy": "echo\n"})
    bad = hooked.head
    hooked.git("rm", "-r", "--quiet", ".ci-deploy")
    hooked.commit("No hooks")
    done = _deploy(dokku, hooked, DEPLOY_REVISION=bad)
    assert done.code == 2, done.output
    assert "git update-index --chmod=+x .ci-deploy/pre_deploy" in done.output


def test_hook_cannot_read_the_environ_of_the_run(dokku: DokkuStandIn, hooked: Hooked) -> None:
    """The key is in it. Root may, with capabilities that containers do not have.
    (faults J4)"""
    hooked.hook("pre_deploy", "cat /proc/$PPID/environ | tr '\\0' '\\n' | sed 's/PRIVATE/seen/'")
    powers = "--bounding-set=-sys_ptrace,-sys_admin,-perfmon"
    drop = ["setpriv", powers] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*drop, BIN / "deploy"],
        cwd=hooked.path,
        env={"PATH": os.environ["PATH"], **settings_for(dokku)},
        stdout=subprocess.PIPE,
        check=False,
    )
    output = done.stdout.decode()
    assert done.returncode == 0, output
    assert "Permission denied" in output
    assert "SSH_seen_KEY" not in output
