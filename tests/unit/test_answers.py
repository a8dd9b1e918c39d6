"""What a Dokku server's answers mean, in the forms of old and new versions."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from ci_deploy.errors import DeployFailed
from ci_deploy.layers.providers.dokku import answers
from ci_deploy.layers.providers.dokku.processes import (
    Health,
    Process,
    inspected,
    reported,
    restarted,
)
from ci_deploy.process.program import Result

REPAIR = "Its output above shows what to fix."
SHA = "1234567890abcdef1234567890abcdef12345678"


def result(text: str, exit_code: int = 0) -> Result:
    return Result(("ssh",), exit_code, out=text.encode())


@pytest.mark.parametrize(
    ("said", "code", "missing"),
    [
        ("=====> Service shop exists", 0, False),
        (" !     postgres service shop does not exist", 1, True),
        (" !     Postgres service shop does not exist", 1, True),  # before dokku-datastore
        (" !     App shop does not exist", 20, True),
        ("", 1, True),  # a plugin of somebody's own
    ],
)
def test_what_the_server_says_of_a_thing_that_may_be_missing(
    said: str, code: int, missing: bool
) -> None:
    assert answers.absent(result(said, code), "the postgres service shop") is missing


@pytest.mark.parametrize(
    "said",
    [
        "mkdir: cannot create directory '/var/lib/dokku/services': Permission denied",
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock.",
        " !     datastore type postgres is not supported",
        "/var/lib/dokku/plugins/enabled/postgres/config: line 3: x: the file does not exist",
    ],
)
def test_error_is_not_taken_for_an_absence(said: str) -> None:
    """What exists would be created again, or be left behind."""
    with pytest.raises(DeployFailed) as caught:
        answers.absent(result(said, 1), "the postgres service shop")
    message = caught.value.message
    assert message.startswith("the server cannot tell whether the postgres service shop exists")
    assert said.strip(" !") in message


OLD_APPS = f"""=====> hello app information
       App created at:                1700000000
       App deploy source:             git-push
       App deploy source metadata:    {SHA}
       App dir:                       /home/dokku/hello
       App locked:                    false
"""
NEW_APPS = f"""=====> hello app information
       Created at:                    1700000000
       Deploy source:                 git-push
       Deploy source metadata:        {SHA}
       Dir:                           /home/dokku/hello
       Locked:                        false
"""
PS = """=====> hello ps information
       Deployed:                      {deployed}
       Processes:                     {processes}
       Ps can scale:                  true
       Ps computed procfile path:     Procfile
       Restore:                       true
       Running:                       {running}
"""


@pytest.mark.parametrize("text", [OLD_APPS, NEW_APPS])
def test_reports_of_old_and_new_versions_have_the_same_keys(text: str) -> None:
    report = answers.report(result(text))
    assert report["deploy source metadata"] == SHA
    assert report["locked"] == "false"
    assert report["created at"] == "1700000000"


@pytest.mark.parametrize("prefix", ["Git ", ""])
def test_values_may_be_empty_or_have_colons(prefix: str) -> None:
    text = (
        "=====> hello git information\n"
        f"       {prefix}deploy branch:             \n"
        f"       {prefix}last updated at:           12:30:00\n"
        f"       {prefix}computed deploy branch:    feature/x:y\n"
    )
    report = answers.report(result(text))
    assert report["deploy branch"] == ""
    assert report["last updated at"] == "12:30:00"
    assert report["computed deploy branch"] == "feature/x:y"


@pytest.mark.parametrize("text", ["", "\n", " !     App hello does not exist\n", "no heading: x"])
def test_answers_that_are_no_report_are_no_crash(text: str) -> None:
    assert "deploy branch" not in answers.report(result(text, 20))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dokku version 0.38.27\n", (0, 38, 27)),
        ("0.24.10", (0, 24, 10)),
        ("dokku version 1.0.0-rc1", (1, 0, 0)),
        ("dokku version master", ()),
        ("", ()),
    ],
)
def test_version(text: str, expected: tuple[int, ...]) -> None:
    assert answers.version(result(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SHA, SHA),
        ("a" * 64, "a" * 64),
        (SHA[:7], ""),
        (SHA.upper(), ""),
        ("registry.example.com/hello@sha256:" + "a" * 64, ""),
        ("HEAD", ""),
        ("", ""),
    ],
)
def test_only_a_whole_commit_is_a_revision(text: str, expected: str) -> None:
    assert answers.revision(text) == expected


# --- what is live ---


def health(*, running: str, processes: int = 1, states: str = "") -> Health:
    ps = PS.format(deployed="true", processes=processes, running=running) + states
    return reported(result(ps))


def test_all_processes_run() -> None:
    states = (
        "       Status web 1:                  running (CID: 0123456789a)\n"
        "       Status worker 1:               running (CID: 0123456789b)\n"
    )
    found = health(running="true", processes=2, states=states)
    assert found.up
    assert found.detail == "2 of 2 processes up"


def test_processes_that_are_down_are_named() -> None:
    states = (
        "       Status web 1:                  running (CID: 0123456789a)\n"
        "       Status worker 1:               exited (CID: 0123456789b)\n"
        "       Status worker 2:               missing\n"
    )
    found = health(running="mixed", processes=3, states=states)
    assert not found.up
    assert found.detail == "1 of 3 processes up (down: worker 1, worker 2)"


@pytest.mark.parametrize("running", ["false", "mixed", ""])
def test_anything_but_true_is_not_up(running: str) -> None:
    assert not health(running=running).up


def test_process_that_is_started_again_and_again_is_not_up() -> None:
    """Dokku says `Running: true` of it (faults K3)."""
    states = "       Status web 1:                  restarting (CID: 0123456789a)\n"
    found = health(running="true", states=states)
    assert not found.up
    assert found.detail == "0 of 1 processes up (down: web 1)"


@pytest.mark.parametrize(
    ("scale", "none"),
    [
        ("-----> Scaling for hello\nproctype: qty\n--------: ---\nweb:  1\n", False),
        ("-----> Scaling for hello\nproctype: qty\n--------: ---\nweb:  0\nworker:  2\n", False),
        ("-----> Scaling for hello\nproctype: qty\n--------: ---\nweb:  0\n", True),
        ("-----> Scaling for hello\nproctype: qty\n--------: ---\n", True),
    ],
)
def test_no_process_is_right_only_where_the_scale_wants_none(scale: str, none: bool) -> None:
    """A broken ENV file makes Dokku deploy with no process at all (faults K2)."""
    assert answers.wants_none(result(scale)) == none
    found = health(processes=0, running="false")._replace(lacking=not none)
    assert found.up == none
    assert ("not scaled to 0" in found.detail) != none


# As people have reported them, of Dokku 0.20, 0.29 and 0.35.
LISTED = """plugn: v0.16.0
  00_dokku-standard    0.35.4 enabled    dokku core standard plugin
  ansible-playbook     0.0.1 enabled    Run ansible playbooks during deployment
  dokku-require        0.1.0 disabled   setup all the requirement for your app on push
  hostname              enabled    Sets the docker hostname option for dokku
  letsencrypt          0.12.1 disabled   Automated installation of let's encrypt TLS certificates
  postgres             1.34.0 enabled    dokku postgres service plugin
"""


def test_plugins_are_those_that_are_enabled() -> None:
    """A disabled one has no commands: a certificate was asked for in vain, with a warning."""
    found = answers.plugins(result(LISTED))
    assert found == {"00_dokku-standard", "ansible-playbook", "hostname", "postgres"}
    assert answers.plugins(result("")) == frozenset()


def test_hints_name_the_app() -> None:
    """(faults K12)"""
    lines = [" !     Could not start due to 1 failed checks (web.1)"]
    assert "`dokku logs:failed hello`" in answers.reason(lines, "hello")[1]


def test_certificate_is_read_under_the_heading_that_dokku_prints() -> None:
    """(faults K10)"""
    text = "=====> hello ssl information\n       Ssl dir: /x\n       Ssl enabled: true\n"
    assert answers.report(result(text))["enabled"] == "true"


def test_app_without_processes_is_up() -> None:
    assert health(running="false", processes=0).up


def test_no_answer_about_processes_is_not_up() -> None:
    assert not reported(result("", 1)).up


@pytest.mark.parametrize(
    ("urls", "expected"),
    [
        ("http://a.example.com https://a.example.com https://b", "https://a.example.com"),
        ("http://a.example.com:8080", "http://a.example.com:8080"),
        ("", ""),
    ],
)
def test_address_is_the_first_secure_one(urls: str, expected: str) -> None:
    assert answers.address(urls.split()) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("45s", 45), ("1m6s", 66), ("1h0m1s", 3601), ("0s", 0), ("500ms", 0.5), ("", float("inf"))],
)
def test_age_of_a_build_is_read_as_go_prints_it(text: str, expected: float) -> None:
    """(faults K7)"""
    assert answers.seconds(text) == expected


@pytest.mark.parametrize(
    "line",
    [
        "remote:        http://g1.dokku.test:5000",
        "remote:        http://g1.dokku.test:5000        ",
        "remote: \x1b[1G       http://g1.dokku.test:5000        ",
        "remote:  \x1b[1G       http://g1.dokku.test:5000 \x1b[K",
        "       http://g1.dokku.test:5000",
    ],
)
def test_address_is_read_from_the_words_of_a_deploy(line: str) -> None:
    """As a push and an upload say it, of old and new versions (faults K11)."""
    found = answers.URL.match(line)
    assert found is not None
    assert found["url"] == "http://g1.dokku.test:5000"


@pytest.mark.parametrize("line", ["remote: see http://a", "To ssh://a/b", "remote:", "http:/a"])
def test_other_lines_are_no_addresses(line: str) -> None:
    assert answers.URL.match(line) is None


def inspect(state: str = "running", **more: Any) -> dict[str, Any]:
    """A container as `docker inspect` shows it, as far as it is read."""
    labels = {"com.dokku.dyno": "web.1", "com.dokku.process-type": "web"}
    return {
        "Id": "c9eadf8152a7" + 52 * "0",
        "RestartCount": 0,
        "State": {"Status": state, "StartedAt": "2026-11-29T01:58:36.1Z"},
        "Config": {"Labels": labels},
        **more,
    }


def test_processes_are_read_from_what_docker_tells() -> None:
    (found,) = inspected(result(json.dumps([inspect()])))
    assert found == Process("web 1", "running", "c9eadf8152a", "2026-11-29T01:58:36.1Z", 0)
    assert Health((found,)).up
    assert Health((found,)).containers == {"c9eadf8152a"}


@pytest.mark.parametrize("state", ["restarting", "exited", "created", "paused", "dead"])
def test_container_in_any_other_state_is_not_up(state: str) -> None:
    """(faults K3)"""
    assert not Health(inspected(result(json.dumps([inspect(state)])))).up


@pytest.mark.parametrize(
    "text",
    ["", "[]", "not json", "null", "[null]", "[{}]", '{"a": 1}', "7", '[{"Id": "a"}]', "[] []"],
)
def test_what_docker_does_not_tell_is_asked_otherwise(text: str) -> None:
    assert inspected(result(text)) == ()
    assert inspected(result(json.dumps([inspect()]), 1)) == ()  # one of the containers is missing


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"restarts": 3}, ["web 1"]),
        ({"started": "later"}, ["web 1"]),
        ({"cid": "0123456789a"}, ["web 1"]),
        ({"state": "restarting"}, []),  # that alone is not up, which is said elsewhere
        ({"name": "worker 1"}, []),
    ],
)
def test_crash_loop_shows_between_two_looks(change: dict[str, Any], expected: list[str]) -> None:
    """(faults K3)"""
    before = Process("web 1", "running", "c9eadf8152a", "earlier", 2)
    assert restarted([before], [before._replace(**change)]) == expected


@pytest.mark.parametrize(
    ("text", "count"),
    [('[{"id": "a"}, {"id": "b"}]', 2), ("", 0), ("not json", 0), ('{"id": "a"}', 0), ("[1]", 0)],
)
def test_lists_of_builds_that_are_none_are_empty(text: str, count: int) -> None:
    assert len(answers.builds(result(text))) == count


# --- the words of a deploy ---

SAID = {
    "remote:  !     You have pushed to main, you must push to production.": (
        "the push went to a branch that Dokku does not deploy; it deploys `production`.",
        "Unset DOKKU_DEPLOY_BRANCH, or set it to `production`.",
    ),
    "remote:  !     Invalid branch name 'a b'": (
        "the app's deploy branch `a b` is not a valid branch name.",
        "On the server: `dokku git:set APP deploy-branch main`.",
    ),
    " !     Execution of release task failed: python3 release.py {x}": (
        "the release task failed: python3 release.py {x}",
        REPAIR,
    ),
    "remote:  !     required env var SECRET_KEY_BASE has no value": (
        "app.json requires the variable SECRET_KEY_BASE, which is not set on the app.",
        "Set it with APP_CONFIG, or on the server with `dokku config:set`.",
    ),
    "remote:  !     Could not start due to 1 failed checks": (
        "the release did not start: 1 failed checks",
        "On the server, `dokku logs:failed APP` shows its output.",
    ),
    " !     Specified build-dir not found in sourcecode working directory: web": (
        (
            "Dokku builds the directory web (its `build-dir`), which does not exist in the "
            "code that was sent."
        ),
        "On the server, `dokku builder:set APP build-dir` unsets it; APP_DIR sets it.",
    ),
    " !     Archive contains symlinks pointing outside extraction directory": (
        "Dokku rejects archives with symbolic links that contain `..` or start with `/`.",
        "Set DEPLOY_METHOD=push, which allows them.",
    ),
    " !     Archive contains 12000 entries which exceeds the maximum of 10000": (
        "the archive has too many files for Dokku (limit: 10000).",
        (
            "Raise the limit on the server: `dokku git:set --global archive-max-files N`; or set "
            "DEPLOY_METHOD=push, which has no limit."
        ),
    ),
    " !     Archive exceeds maximum allowed size of 1073741824 bytes": (
        "the archive is too large for Dokku (limit: 1073741824 bytes).",
        (
            "Raise the limit on the server: `dokku git:set --global archive-max-size N`; or set "
            "DEPLOY_METHOD=push, which has no limit."
        ),
    ),
    "remote: fatal: clone of 'git@x:a/lib' into submodule path '/tmp/dokku/lib' failed": (
        "the server cannot clone the submodule /tmp/dokku/lib from git@x:a/lib.",
        (
            "Set DEPLOY_METHOD=archive, which sends it from the checkout. Or give the server "
            "access: for an https URL by `dokku git:auth`; for an ssh URL by `dokku "
            "git:allow-host` and `dokku git:generate-deploy-key`, and by adding that key where the "
            "submodule is hosted."
        ),
    ),
    "remote:  !     App build failed": ("the build failed.", REPAIR),
    " !     Failed to pull image: registry.example.com/hello:1": (
        "the server cannot pull the image registry.example.com/hello:1.",
        "Check that it was pushed; a private registry needs `dokku registry:login` on the server.",
    ),
    " !     App auto-creation disabled.": (
        "the app does not exist, and Dokku is configured not to create apps.",
        "Create it on the server with `dokku apps:create APP`, or set DOKKU_CREATE_APP=true.",
    ),
    "error: cannot lock ref 'refs/heads/main': 'refs/heads/main/old' exists; cannot create": (
        "git cannot create `refs/heads/main` while `refs/heads/main/old` exists.",
        (
            "On the server, in /home/dokku/APP, delete that branch: "
            "`git update-ref -d refs/heads/main/old`."
        ),
    ),
    " ! [remote rejected] 1234 -> main (branch is currently checked out)": (
        "the app's repository on the server has a work tree, so git does not update its branch.",
        "On the server, in /home/dokku/APP: `git config core.bare true`.",
    ),
    " ! [remote rejected] 1234 -> main (non-fast-forward)": (
        "the app's repository on the server rejects older revisions (receive.denyNonFastForwards).",
        "On the server, in /home/dokku/APP: `git config receive.denyNonFastForwards false`.",
    ),
    " ! [remote rejected] main -> main (shallow update not allowed)": (
        "git rejects the push of a shallow clone (after Dokku has deployed it).",
        "Fetch the whole history: `GIT_DEPTH: 0` on GitLab, `fetch-depth: 0` on GitHub.",
    ),
}


@pytest.mark.parametrize("line", SAID)
def test_reasons_are_told_in_the_users_words(line: str) -> None:
    assert answers.reason(["-----> Building", line, "remote: done"]) == SAID[line]


def test_every_reason_has_a_test() -> None:
    for pattern in answers.REASONS:
        assert any(pattern.search(line) for line in SAID), pattern.pattern


def test_most_telling_reason_wins_wherever_it_stands() -> None:
    lines = [" !     App build failed", " !     Execution of release task failed: x"]
    assert (
        answers.reason(lines)
        == answers.reason(lines[::-1])
        == ("the release task failed: x", REPAIR)
    )


def test_nothing_known_is_no_reason() -> None:
    assert answers.reason([]) == ("", "")
    assert answers.reason(["everything is fine", "{a} {0}"]) == ("", "")


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (answers.DEPLOYED, "remote: =====> Application deployed:"),
        (answers.LOCKED, "hello currently has a deploy lock in place. Exiting..."),
        (answers.UP_TO_DATE, "Everything up-to-date"),
        (answers.REJECTED, " ! [rejected]        1234 -> main (non-fast-forward)"),
        (answers.REJECTED, " ! [rejected]        1234 -> main (fetch first)"),
        (answers.REJECTED, " ! [rejected]        1234 -> main (stale info)"),
        (answers.LOST, "fatal: the remote end hung up unexpectedly"),
        (answers.LOST, "error: ssh -F /tmp/x/ssh/config -S /tmp/x/ssh/m0 died of signal 15"),
        (answers.LOST, "client_loop: send disconnect: Broken pipe"),
        (answers.LOST, "Connection closed by 192.0.2.7 port 22"),
        (answers.LOST, "kex_exchange_identification: read: Connection reset by peer"),
        (answers.LOST, "Connection to dokku.example.com closed by remote host."),
    ],
)
def test_words_that_decide_are_recognised(pattern: object, line: str) -> None:
    assert pattern.search(line)  # type: ignore[attr-defined]


@pytest.mark.parametrize("line", [" ! [remote rejected] main -> main (pre-receive hook declined)"])
def test_refusal_by_a_hook_is_no_race(line: str) -> None:
    assert not answers.REJECTED.search(line)


@pytest.mark.parametrize(
    ("line", "raced"),
    [
        ("remote: error: cannot lock ref 'refs/heads/main': 'refs/heads/main/old' exists;", False),
        ("remote: error: cannot lock ref 'r': Unable to create '/r.lock': File exists.", False),
        (f"remote: error: cannot lock ref 'r': is at {'a' * 40} but expected {'b' * 40}", True),
        ("remote: error: cannot lock ref 'refs/heads/main': reference already exists", True),
        ("remote: error: cannot update ref 'r': trying to write non-commit object 9ee1", False),
    ],
)
def test_only_a_branch_that_has_moved_is_a_race(line: str, raced: bool) -> None:
    """Everything else is refused after every further deploy too (faults A3)."""
    assert bool(answers.RACED.search(line)) is raced


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        (" ! [remote rejected] 1234 -> main (failed to update ref)", True),
        (" ! [remote rejected] 1234 -> main (branch is currently checked out)", True),
        (" ! [remote rejected] 1234 -> main (non-fast-forward)", True),
        (" ! [remote rejected] 1234 -> main (pre-receive hook declined)", False),
        (" ! [rejected]        1234 -> main (fetch first)", False),
    ],
)
def test_branch_that_was_not_moved_is_recognised(line: str, refused: bool) -> None:
    """After a hook that has ended well, the deploy was done by then (faults A3)."""
    assert bool(answers.NOT_MOVED.search(line)) is refused


def test_one_endless_word_does_not_hold_us_past_the_deadline() -> None:
    """A search that began anew at each letter took minutes, and heeded no deadline. (faults J2)"""
    started = time.process_time()
    assert answers.report(result("A" * 200_000)) == {}
    assert time.process_time() - started < 10


@pytest.mark.parametrize("text", ["1.2.3s", ".s", "9" * 5000 + "s", "soon"])
def test_duration_that_is_none_is_no_bug_of_ours(text: str) -> None:
    """float() refused it. (faults J)"""
    assert answers.seconds(text) > 0


def test_numbers_without_end_are_no_bug_of_ours() -> None:
    """int() takes 4300 digits at most. (faults J)"""
    answers.version(result("dokku version 0.38." + "9" * 5000))
    answers.wants_none(result("web: " + "9" * 5000))


def test_builds_nested_without_end_are_none() -> None:
    """Python's own parser raises RecursionError, which was told as a bug of ours. (faults J)"""
    assert answers.builds(result("[" * 100_000)) == []
