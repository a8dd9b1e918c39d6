"""What Heroku does to a deploy, and what must be said of it: status, exit code, words, truth.

Each row is one situation. The app has run `old` before, and `new` is to be deployed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from standins.heroku.faults import Fault
from standins.heroku.server import HerokuStandIn
from standins.support import until
from tests.integration.heroku.conftest import FILES, WITH_PHASE, Jobs

OLD, NEW = "old", "new"
RELEASE = r"GET /apps/hello/releases/\d+$"
STREAM = "GET /_streams/"


@dataclass
class Situation:
    """`arrange` prepares it when `old` runs; the rest is what has to come of it."""

    name: str
    code: int
    live: str
    says: tuple[str, ...]
    arrange: Callable[[Jobs, HerokuStandIn], None] = lambda _job, _heroku: None
    files: dict[str, str] = field(default_factory=lambda: WITH_PHASE)
    settings: dict[str, str] = field(default_factory=dict)
    status: str = ""
    faults: tuple[Fault, ...] = ()
    behaviour: dict[str, object] = field(default_factory=dict)
    silent: tuple[str, ...] = ()  # what must not be said
    within: float = 60.0  # seconds


def _other_build(*, ends: bool) -> Callable[[Jobs, HerokuStandIn], None]:
    """Somebody else's build; it ends when ours has been seen to wait."""

    def arrange(_job: Jobs, heroku: HerokuStandIn) -> None:
        app = heroku.apps["hello"]
        app.behaviour.build_ends = over = threading.Event()
        heroku.platform.build(app, app.running_revision, "web: sleep 600\n")
        app.behaviour.build_ends = None
        looks = [call for call in heroku.calls if call.path.endswith("/builds")]

        def work() -> None:
            until(
                lambda: sum(c.path.endswith("/builds") for c in heroku.calls) > len(looks) + 2, 60
            )
            over.set()

        if ends:
            threading.Thread(target=work, daemon=True).start()

    return arrange


def _maintenance(_job: Jobs, heroku: HerokuStandIn) -> None:
    heroku.apps["hello"].maintenance = True


def _somebody_else(_job: Jobs, heroku: HerokuStandIn) -> None:
    """Somebody brings `old` back as soon as `new` is live."""
    app = heroku.apps["hello"]
    old = app.current
    assert old is not None

    def work() -> None:
        until(lambda: app.current is not old)
        heroku.platform.release(app, f"Rollback to v{old.version}", old.slug)

    app.behaviour.boot_seconds = 30.0
    threading.Thread(target=work, daemon=True).start()


def _talkative(_job: Jobs, heroku: HerokuStandIn) -> None:
    """The release phase says something all the time."""
    app = heroku.apps["hello"]

    def work() -> None:
        until(lambda: len(app.releases) == 3, 60)
        stream = app.releases[-1].stream
        while stream and not heroku.platform.ended.wait(0.3):
            stream.write("row migrated")

    threading.Thread(target=work, daemon=True).start()


def _stack(name: str) -> Callable[[Jobs, HerokuStandIn], None]:
    def arrange(_job: Jobs, heroku: HerokuStandIn) -> None:
        heroku.apps["hello"].stack = name

    return arrange


def _no_git(_job: Jobs, heroku: HerokuStandIn) -> None:
    heroku.faults(Fault(r"/hello\.git/", 403, times=100))


ARCHIVE = {"DEPLOY_METHOD": "archive"}
TOO_LARGE = (
    " !     Compiled slug size: 500.1M is too large (max is 500M).",
    " !     See: http://devcenter.heroku.com/articles/slug-size",
    "",
)
SITUATIONS = [
    Situation("all is well", 0, NEW, ("verified: hello runs", "running the release command")),
    # --- the release phase ---
    Situation(
        "release phase fails", 20, OLD,
        ("the release phase of v3 failed.", "the release command failed", "hello still runs",
         "heroku releases:output v3 -a hello"),
        behaviour={"phase": "fail"},
    ),
    Situation(
        "release phase fails long after its output has ended", 20, OLD,
        ("the release phase of v3 failed.",),
        behaviour={"phase": "fail", "lag": 2.0},
    ),
    Situation(
        "release phase stays pending after its output, then succeeds", 0, NEW, ("verified",),
        behaviour={"lag": 2.0},
    ),
    Situation(
        "release phase expires", 20, OLD, ("took too long and has expired",),
        behaviour={"phase": "expire"},
    ),
    Situation(
        "release phase is still pending at the end of the run", 21, OLD,
        ("timed out (DEPLOY_TIMEOUT) before the end of the release phase of v3 was seen",),
        behaviour={"phase_seconds": 60.0},
        settings={"DEPLOY_TIMEOUT": "12"},
    ),
    Situation(
        "release phase talks on and on, also at the end of the run", 21, OLD,
        ("timed out (DEPLOY_TIMEOUT) before the end of the release phase", "row migrated"),
        _talkative,
        behaviour={"phase_seconds": 90.0}, settings={"DEPLOY_TIMEOUT": "15"}, within=45.0,
    ),
    Situation(
        "build goes on at the end of the run", 21, OLD,
        ("timed out (DEPLOY_TIMEOUT) during the push",
         "a deployment is in progress"),
        behaviour={"build_seconds": 90.0}, settings={"DEPLOY_TIMEOUT": "15"}, within=45.0,
        silent=("push broke off",),
    ),
    Situation(
        "output of the release phase is not there yet", 0, NEW, ("running the release command",),
        faults=(Fault(STREAM, 404, times=2),),
        behaviour={"phase_seconds": 2.5},
    ),
    Situation(
        "output of the release phase breaks off", 0, NEW,
        ("was cut off", "second line", "verified"),
        faults=(Fault(STREAM, "cut", after=4),),
        behaviour={"phase_lines": ("first line", "second line"), "phase_seconds": 1.0},
    ),
    Situation(
        "output of the release phase is reset", 20, OLD,
        ("the release phase of v3 failed", "the release command failed"),
        faults=(Fault(STREAM, "lost", after=4),),
        behaviour={"phase_lines": ("first line", "second line"), "phase": "fail"},
    ),
    Situation(
        "Heroku is broken while the release is pending", 0, NEW, ("verified",),
        faults=(Fault(RELEASE, 500, times=3), Fault(RELEASE, 503, times=1)),
        behaviour={"phase_seconds": 1.0},
    ),
    Situation(
        "connections are reset while the release is pending", 0, NEW, ("verified",),
        faults=(Fault(RELEASE, "reset", times=3),),
        behaviour={"phase_seconds": 1.0},
    ),
    Situation(
        "Heroku is broken when the release of a push is looked for", 0, NEW,
        ("API error 503", "Asking again", "verified"),
        faults=(Fault("GET /apps/hello/releases$", 503, times=5, skip=3),),
    ),
    Situation(
        "Heroku is broken while the dynos start", 0, NEW,
        ("API error 503", "Asking again", "verified"),
        faults=(Fault("GET /apps/hello/dynos$", 503, times=5, skip=2),),
    ),
    # --- builds and pushes ---
    Situation(
        "build fails", 20, OLD,
        ("Heroku rejects the push: failed to compile Ruby app.", "nothing was released"),
        behaviour={"build": "fail"},
    ),
    Situation(
        "slug is too large", 20, OLD,
        ("Heroku rejects the push: Compiled slug size: 500.1M is too large (max is 500M).",),
        behaviour={"build": "fail", "build_fails": TOO_LARGE},
    ),
    Situation(
        "slug of an archive is too large", 20, OLD,
        (": Compiled slug size: 500.1M is too large (max is 500M).", "Heroku cannot build"),
        behaviour={"build": "fail", "build_fails": TOO_LARGE}, settings=ARCHIVE,
    ),
    Situation(
        "build fails, and its output sounds like git", 20, OLD,
        ("Heroku rejects the push: failed to compile Ruby app.",),
        behaviour={"build": "fail", "build_lines": (
            "fatal: Authentication failed for 'https://github.com/acme/gem.git/'",
            "error: 404", "connection reset, and the remote end hung up", "(stale info)")},
        silent=("denies access", "has no repository", "asking Heroku"),
    ),
    Situation(
        "build succeeds, and its output sounds like Heroku's git", 0, NEW, ("verified",),
        behaviour={"build_lines": ("-----> Node.js app",
            "       bcrypt: binary found, skipping build", "Everything up-to-date")},
    ),
    Situation(
        "build of an archive fails", 20, OLD,
        (": failed to compile Ruby app.", "Heroku cannot build"),
        behaviour={"build": "fail"}, settings=ARCHIVE,
    ),
    Situation(
        "output of a build breaks off", 0, NEW, ("was cut off", "Ruby app", "verified"),
        faults=(Fault(STREAM, "cut", after=4),), settings=ARCHIVE,
        behaviour={"build_seconds": 0.5}, files=FILES,
    ),
    Situation(
        "connection is lost in the middle of the push, and the build goes on", 0, NEW,
        ("asking Heroku for the result", "verified"),
        faults=(Fault("POST /hello.git/git-receive-pack", "cut", after=60),),
        behaviour={"build_seconds": 0.5},
    ),
    Situation(
        "connection is lost, and whether anything is built cannot be asked for a while", 0, NEW,
        ("asking Heroku for the result", "verified"),
        faults=(Fault("POST /hello.git/git-receive-pack", "cut", after=60),
                Fault("GET /apps/hello/builds$", 503, times=5, skip=2)),
        behaviour={"build_seconds": 12.0},
    ),
    Situation(
        "git hangs although the build has ended", 0, NEW,
        ("asking Heroku for the result", "verified"),
        faults=(Fault("POST /hello.git/git-receive-pack", "silent", after=60),),
    ),
    Situation(
        "connection is lost before the push has come there", 20, OLD,
        ("the push broke off, and hello has no release of this push so far",),
        faults=(Fault("POST /hello.git/git-receive-pack", "reset", times=5),),
    ),
    Situation(
        "connection is lost, and the release phase fails", 20, OLD,
        ("the release phase of v3 failed",),
        faults=(Fault("POST /hello.git/git-receive-pack", "cut", after=60),),
        behaviour={"phase": "fail"},
    ),
    Situation(
        "slugs do not tell their commit, but builds do", 0, NEW, ("verified",),
        behaviour={"names_commit": False},
    ),
    Situation(
        "slug of a release is not there at the first look", 0, NEW, ("verified",),
        faults=(Fault("GET /apps/hello/slugs/", 404, skip=1),), files=FILES,
    ),
    # --- refused ---
    Situation(
        "key is refused", 12, OLD, ("Heroku rejects the API key", "HEROKU_API_KEY"),
        settings={"HEROKU_API_KEY": "HRKU-another-key"},
    ),
    Situation(
        "app is somebody else's", 12, OLD,
        ("You do not have access to the app hello", "docs/heroku.md"),
        faults=(Fault("GET /apps/hello$", 403, times=9),),
    ),
    Situation(
        "something is to be paid", 12, OLD,
        ("requires payment or a verified account to set", "verify your account", "billing"),
        faults=(
            Fault(
                "PATCH /apps/hello/config-vars$", 402, times=9,
                body={"id": "verification_required", "message": "Please verify your account."},
            ),
        ),
        settings={"APP_CONFIG": "GREETING=hello"},
    ),
    Situation(
        "account may not be told", 0, NEW, ("Heroku; hello: eu",),
        faults=(Fault("GET /account", 403),),
    ),
    Situation(
        "app is not there", 2, OLD,
        ("there is no app `helo` on Heroku", "Did you mean `hello`?", "HEROKU_CREATE_APP=true"),
        settings={"APP_NAME": "helo"},
    ),
    Situation(
        "git is not let in", 12, OLD, ("Heroku's git denies access: fatal: ",), _no_git
    ),
    Situation(
        "build is not possible", 20, OLD, ("That is not possible.",),
        faults=(Fault("POST /apps/hello/builds", 422),), settings=ARCHIVE,
    ),
    Situation(
        "app is a Fir app", 14, OLD, ("Fir app", "could not be verified"), _stack("cnb"),
    ),
    Situation("app runs images", 14, OLD, ("Docker images",), _stack("container")),
    Situation(
        "image is wanted", 2, OLD, ("Heroku does not support `image`",),
        settings={"DEPLOY_METHOD": "image"},
    ),
    # --- busy ---
    Situation(
        "limit is reached, and Heroku says for how long", 0, NEW, ("verified",),
        faults=(Fault("GET /apps/hello/", 429, times=2, headers={"Retry-After": "1"}),),
    ),
    Situation(
        "limit is reached at a write", 0, NEW,
        ("Heroku's API rate limit is exceeded; waiting 1 s", "verified"),
        faults=(Fault("POST /apps/hello/builds", 429, headers={"Retry-After": "1"}),),
        settings=ARCHIVE,
    ),
    Situation(
        "limit is reached, and nobody says for how long", 0, NEW, ("verified",),
        faults=(Fault("GET /apps/hello/releases", 429, times=2),
                Fault("POST /apps/hello/builds", 429)),
        settings=ARCHIVE,
    ),
    Situation(
        "limit is reached for longer than the run may take", 11, OLD,
        ("API error 429",),
        faults=(Fault("GET /apps/hello", 429, times=99, headers={"Retry-After": "3600"}),),
        settings={"DEPLOY_TIMEOUT": "5"},
    ),
    Situation(
        "Heroku is broken from the start", 11, OLD, ("API error 503",),
        faults=(Fault("GET /apps/hello/releases", 503, times=99),),
    ),
    Situation(
        "a proxy answers instead", 11, OLD, ("is not JSON from Heroku", "proxy"),
        faults=(Fault("GET /apps/hello$", 200, body="<html>Please log in</html>", times=9),),
    ),
    Situation(
        "somebody else deploys", 0, NEW,
        ("another build or release of hello is running", "verified"),
        _other_build(ends=True),
    ),
    Situation(
        "somebody else deploys for too long", 13, OLD, ("has been running for over 1 s",),
        _other_build(ends=False), settings={"LOCK_TIMEOUT": "1"},
    ),
    Situation(
        "somebody else deploys until the end of the run", 13, OLD,
        ("has been running until DEPLOY_TIMEOUT",),
        _other_build(ends=False), settings={"DEPLOY_TIMEOUT": "12"}, within=45.0,
    ),
    Situation(
        "upload hangs until the end of the run", 20, OLD, ("cannot be reached",),
        faults=(Fault("PUT /_sources/", "hang"),),
        settings={**ARCHIVE, "DEPLOY_TIMEOUT": "4"}, within=20.0,
    ),
    Situation(
        "somebody else brings the old one back", 20, OLD,
        ("Heroku reports", "Another release may have been created"), _somebody_else,
    ),
    # --- dynos, maintenance ---
    Situation(
        "dynos crash after the release", 22, NEW,
        ("v3 is live, but not all dynos run: 0 of 1 dynos up (web.1 crashed)",
         "heroku logs -a hello"),
        behaviour={"boot": "crash"}, settings={"HEROKU_BOOT_TIMEOUT": "60"},
        status="live-but-failed",
    ),
    Situation(
        "dynos do not start in time", 22, NEW, ("web.1 starting",),
        behaviour={"boot": "starting"}, status="live-but-failed",
    ),
    Situation(
        "dynos take a while", 0, NEW, ("1 of 1 dynos up",), behaviour={"boot_seconds": 1.5},
    ),
    Situation(
        "app is in maintenance before", 0, NEW, ("it was on before and stays on",),
        _maintenance, settings={"HEROKU_MAINTENANCE": "true"},
        silent=("switch maintenance mode",),
    ),
]  # fmt: skip


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_situation(heroku: HerokuStandIn, job: Jobs, situation: Situation) -> None:
    job.checkout.commit("Old", situation.files)
    old = job.deployed()
    new = job.checkout.commit("New")
    app = heroku.apps["hello"]
    for name, value in situation.behaviour.items():
        setattr(app.behaviour, name, value)
    situation.arrange(job, heroku)
    maintenance = app.maintenance
    heroku.faults(*situation.faults)

    done = job.run("deploy", settings=situation.settings)

    said = done.output
    assert done.code == situation.code, said
    status = situation.status or ("succeeded" if situation.code == 0 else "failed")
    if situation.code != 2:  # settings are refused before there is a report
        assert done.report["status"] == status
        assert done.report["exit_code"] == situation.code
    for words in situation.says:
        assert words in said
    for words in situation.silent:
        assert words not in said
    assert app.running_revision == {OLD: old, NEW: new}[situation.live]
    assert app.maintenance is maintenance
    assert done.seconds < situation.within


def test_there_are_enough_situations() -> None:
    assert len(SITUATIONS) >= 20
    assert len({situation.name for situation in SITUATIONS}) == len(SITUATIONS)
