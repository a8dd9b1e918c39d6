"""TLS that is bad, old or broken, wherever something is asked or told over HTTPS.

It is never accepted: nothing is sent through it. A provider behind it cannot be reached; of anybody
else there is a warning. A few cases here, all of them by `make hostile`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from ci_deploy.ci.origin import SAFE, configured
from ci_deploy.errors import Unreachable
from ci_deploy.net.http import Http
from ci_deploy.process.cancellation import Cancellation
from ci_deploy.process.change_log import ChangeLog
from standins.dokku.server import DokkuStandIn
from standins.forge import GITHUB, GITLAB, forge
from standins.forge import TOKEN as FORGE_TOKEN
from standins.loopback import answering
from standins.mail import mail_server
from standins.sentry import ORG, sentry
from standins.sentry import TOKEN as SENTRY_TOKEN
from standins.support import Checkout, Done, run, settings_for
from standins.webhooks import webhooks
from tests.hostile import tls
from tests.hostile.judge import LONG, SHORT, Case
from tests.hostile.tally import Kind, Record
from tests.hostile.tls import SILENT, Door, Fault
from tests.hostile.worlds import Heroku, Trial

FAULTS = [fault for fault in Fault if fault is not Fault.GOOD]
QUICK = [fault for fault in FAULTS if fault not in SILENT]
DOORS = ("mattermost", "slack", "webhook", "sentry", "email", "pull-requests")
OF_HEROKU = ("deploy", "rollback", "status", "review", "destroy")
LATE = (Fault.EXPIRED, Fault.UNKNOWN_AUTHORITY, Fault.CUT, Fault.STALL)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    tls.authority(folder)
    return folder


def _record(record: Record, tried: int, lost: list[str]) -> None:
    record("hostile", [Kind.TLS.name, tried, len(lost)])
    assert not lost, "\n\n".join(lost)


def _words(fault: Fault, said: str, whose: str) -> list[str]:
    return [] if re.search(fault.value.strip(), said) else [f"{fault.name}, {whose}: {said}"]


def test_bad_tls_is_told_as_what_it_is(certificates: Path, record_property: Record) -> None:
    """A connection that was cut is no certificate that is not trusted (faults J2)."""
    log = ChangeLog(lambda _what: None)
    ca = str(certificates / "ca.pem")
    http = Http(change_log=log, cancellation=Cancellation(), environ={}, ca=ca)
    lost = list[str]()
    with webhooks() as server, _door(certificates, server.url) as door:
        assert http.read(door.url).ok
        for fault in QUICK:
            door.fault = fault
            try:
                lost.append(f"{fault.name}: {http.read(door.url)}")
            except Unreachable as error:
                lost += _words(fault, error.message, "message")
        assert not door.told
    _record(record_property, len(QUICK), lost)


def test_git_takes_no_old_tls(certificates: Path, record_property: Record) -> None:
    """GnuTLS, to which Debian's git is linked, would take 1.0 and 1.1 (faults J2)."""
    env = {"PATH": os.environ["PATH"], **configured(SAFE), "GIT_TERMINAL_PROMPT": "0"}
    env["GIT_SSL_CAINFO"] = str(certificates / "ca.pem")
    with webhooks() as server, _door(certificates, server.url) as door:
        for fault in (Fault.GOOD, Fault.OLD_VERSION):
            door.fault = fault
            argv = ["git", "ls-remote", f"{door.url}/web.git"]
            done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
            assert bool(done.returncode) is (fault is not Fault.GOOD), done.stderr
        assert not door.told
    _record(record_property, 1, [])


def _door(certificates: Path, url: str) -> Door:
    parts = urlsplit(url)
    return Door(certificates, parts.hostname or "", parts.port or 0)


# --- whom a deploy tells: a warning each ---


class Told:
    """A deploy to Dokku, and doors in front of everybody that it tells."""

    def __init__(
        self, dokku: DokkuStandIn, checkout: Checkout, certificates: Path, kind: str, tmp: Path
    ) -> None:
        self.checkout, self.certificates, self.kind = checkout, certificates, kind
        self.event = tmp / "event.json"
        self.env = settings_for(
            dokku,
            CA_BUNDLE=str(certificates / "ca.pem"),
            DEPLOY_ENVIRONMENT="staging",
            SENTRY_AUTH_TOKEN=SENTRY_TOKEN,
            SENTRY_ORG=ORG,
            SENTRY_PROJECT="web",
            SENTRY_TIMEOUT="30",
            NOTIFY_EMAIL_FROM="ci@example.com",
            NOTIFY_EMAIL_TO="a@b.example",
            COMMENT_TOKEN=FORGE_TOKEN,
            GITHUB_TOKEN=FORGE_TOKEN,
        )
        self.doors: dict[str, Door] = {}

    def open(self, stack: ExitStack) -> None:
        """Everybody is there, each behind a door."""
        hooks = {
            "mattermost": "MATTERMOST_WEBHOOK_URL",
            "slack": "SLACK_WEBHOOK_URL",
            "webhook": "NOTIFY_WEBHOOK_URL",
        }
        for name, setting in hooks.items():
            hook = stack.enter_context(webhooks()).url
            self.env[setting] = self._behind(stack, name, hook) + urlsplit(hook).path
        sentry_server = stack.enter_context(sentry())
        self.env["SENTRY_URL"] = self._behind(stack, "sentry", sentry_server.url)
        inbox = stack.enter_context(mail_server())
        mail = self._behind(stack, "email", f"http://127.0.0.1:{inbox.port}")
        self.env["NOTIFY_SMTP_URL"] = mail.replace("https", "smtps")
        server = stack.enter_context(forge(self.kind))
        self.env |= server.environ()
        name = "CI_API_V4_URL" if self.kind == GITLAB else "GITHUB_API_URL"
        self.env[name] = self._behind(stack, "pull-requests", server.url)
        assert {*self.doors} == {*DOORS}

    def _behind(self, stack: ExitStack, name: str, url: str) -> str:
        self.doors[name] = stack.enter_context(_door(self.certificates, url))
        return self.doors[name].url + (urlsplit(url).path if name == "pull-requests" else "")

    def deploy(self, fault: Fault) -> Done:
        head = self.checkout.commit(fault.name)
        for door in self.doors.values():
            door.fault = fault
        repository = {"full_name": "acme/web", "default_branch": "main"}
        pull = {"number": 5, "head": {"repo": repository, "sha": head, "ref": "topic"}}
        self.event.write_text(json.dumps({"pull_request": pull, "repository": repository}))
        facts = {
            "GITHUB_EVENT_NAME": "pull_request",
            "GITHUB_EVENT_PATH": str(self.event),
            "GITHUB_HEAD_REF": "topic",
            "GITHUB_SHA": head,
            "GITHUB_WORKSPACE": str(self.checkout.path),
            "CI_COMMIT_SHA": head,
            "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "topic",
            "CI_PROJECT_DIR": str(self.checkout.path),
        }
        return run("deploy", cwd=self.checkout.path, env={**self.env, **facts})

    def wrong(self, fault: Fault) -> list[str]:
        """What is wrong with how a deploy took it."""
        done, found = self.deploy(fault), list[str]()
        said = done.output + done.errors
        warnings: list[str] = done.report.get("warnings", [])
        if done.code:
            found.append(f"{fault.name}: exit code {done.code}\n{said}")
        if done.seconds > 150:
            found.append(f"{fault.name}: it took {done.seconds:.0f} s\n{said}")
        for name, door in self.doors.items():
            own = [each for each in warnings if each.startswith(name)]
            if fault is Fault.GOOD:
                found += own
                continue
            if not door.met:
                found.append(f"{fault.name}: nobody came to {name}\n{said}")
            elif not own:
                found.append(f"{fault.name}: no warning of {name} in {warnings}")
            found += [lost for each in own for lost in _words(fault, each, name)]
            if door.told:
                found.append(f"{fault.name}: {name} was told {door.told!r}")
            door.met, door.told = 0, b""
        return found


@pytest.fixture
def told(
    dokku: DokkuStandIn, checkout: Checkout, certificates: Path, tmp_path: Path
) -> Iterator[Callable[[str], Told]]:
    with ExitStack() as stack:

        def make(kind: str) -> Told:
            made = Told(dokku, checkout, certificates, kind, tmp_path)
            made.open(stack)
            return made

        yield make


def test_few_of_those_who_are_told(told: Callable[[str], Told], record_property: Record) -> None:
    """(faults J2)"""
    world = told(GITHUB)
    lost = [*world.wrong(Fault.GOOD), *world.wrong(Fault.UNKNOWN_AUTHORITY)]
    _record(record_property, len(world.doors), lost)


@pytest.mark.hostile
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", [GITHUB, GITLAB])
def test_those_who_are_told(
    told: Callable[[str], Told], record_property: Record, kind: str
) -> None:
    world = told(kind)
    faults = FAULTS if kind == GITHUB else QUICK
    lost = [each for fault in faults for each in world.wrong(fault)]
    _record(record_property, len(faults) * len(world.doors), lost)


@pytest.mark.hostile
@pytest.mark.timeout(1800)
def test_health_check(
    dokku: DokkuStandIn, checkout: Checkout, certificates: Path, record_property: Record
) -> None:
    """The release is live, but nobody knows whether it is healthy: 22."""
    lost = list[str]()
    with answering() as url, _door(certificates, url) as door:
        env = settings_for(
            dokku,
            CA_BUNDLE=str(certificates / "ca.pem"),
            HEALTHCHECK_URL=f"{door.url}/health",
            HEALTHCHECK_TIMEOUT="4",
        )
        for fault in Fault:
            door.fault = fault
            checkout.commit(fault.name)
            done = run("deploy", cwd=checkout.path, env=env)
            wanted = 22 if fault is not Fault.GOOD else 0
            if done.code != wanted or dokku.app("hello").running_revision != checkout.head:
                lost.append(f"{fault.name}: exit code {done.code}\n{done.output}{done.errors}")
            lost += _words(fault, done.output + done.errors, "health check")
        assert not door.told
    _record(record_property, len(FAULTS), lost)


# --- Heroku: it cannot be reached ---


class SafeHeroku(Heroku):
    """Heroku behind a door, API and git or one of them; `proxy` is the door."""

    door: Door
    ca = ""

    def env(self) -> dict[str, str]:
        return {**super().env(), "CA_BUNDLE": self.ca}


@pytest.fixture
def heroku_behind_a_door(heroku_world: Heroku, certificates: Path) -> Iterator[SafeHeroku]:
    old = heroku_world
    with Door(certificates, "127.0.0.1", old.proxy.port) as door:
        (old.folder / "safe").mkdir()
        world = SafeHeroku(old.server, old.proxy, old.checkout, old.folder / "safe")
        world.url = world.server.platform.base = door.url
        both = (certificates / "ca.pem").read_text() + old.server.ca.read_text()
        ca = old.folder / "both.pem"
        ca.write_text(both)
        world.door, world.ca = door, str(ca)
        yield world


def _refused(
    trial: Trial, world: SafeHeroku, fault: Fault, after: int, words: str = ""
) -> list[str]:
    """What is wrong with how a command took the fault, from so many calls on."""
    limit = SHORT if fault in SILENT else LONG
    codes = frozenset({11}) if after == 0 else frozenset({0, 11, 20, 21, 22})
    case = Case(trial.command, f"{fault.name} after {after} calls", limit, True, codes)
    door, said = world.door, ""
    start, met = world.calls(), 0

    def act(words: Any) -> Done:
        nonlocal said, met
        door.fault, door.met, door.told = fault, 0, b""
        door.when = lambda: world.calls() - start >= after
        done = trial.run(*words, DEPLOY_TIMEOUT=f"{limit:.0f}")
        said, met = done.output + done.errors, door.met
        door.disarm()
        return done

    found = trial.attempt(case, act, met=lambda: bool(met))
    if after == 0:
        found += _words(fault, said, str(case))
    if door.told:
        found.append(f"{case}: it was told {door.told!r}")
    return found


def test_few_faults_of_tls_to_heroku(
    heroku_behind_a_door: SafeHeroku, record_property: Record
) -> None:
    """(faults J2)"""
    trial = Trial(heroku_behind_a_door, "deploy")
    lost = _refused(trial, heroku_behind_a_door, Fault.EXPIRED, 0)
    _record(record_property, 1, lost)


@pytest.mark.long
@pytest.mark.hostile
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("command", OF_HEROKU)
def test_tls_to_heroku(
    heroku_behind_a_door: SafeHeroku, record_property: Record, command: str
) -> None:
    """From the first call on, and from a later one. Takes minutes: after some faults only the clock
    can tell."""
    trial = Trial(heroku_behind_a_door, command)
    faults = FAULTS if command == "deploy" else QUICK
    cases: list[tuple[Fault, int]] = [(fault, 0) for fault in faults]
    cases += [(fault, trial.count * part // 4) for fault in LATE for part in (1, 2, 3)]
    lost = [each for case in cases for each in _refused(trial, heroku_behind_a_door, *case)]
    _record(record_property, len(cases), lost)


@pytest.mark.hostile
@pytest.mark.timeout(1800)
def test_tls_of_heroku_s_git(
    heroku_world: Heroku, certificates: Path, record_property: Record
) -> None:
    """The API can be asked, and git is not believed."""
    world, lost = heroku_world, list[str]()
    with Door(certificates, "127.0.0.1", world.proxy.port) as door:
        more = {
            "HEROKU_GIT_URL": door.url,
            "CA_BUNDLE": str(certificates / "ca.pem"),
            "DEPLOY_METHOD": "push",
            "DEPLOY_TIMEOUT": "60",
        }
        for fault in (Fault.GOOD, *QUICK):
            world.checkout.commit(fault.name)
            before = world.state("hello")
            door.fault = fault
            done = run("deploy", cwd=world.checkout.path, env={**world.env(), **more})
            if done.code != (0 if fault is Fault.GOOD else 11):
                lost.append(f"{fault.name}: exit code {done.code}\n{done.output}{done.errors}")
            if fault is not Fault.GOOD and world.state("hello") != before:
                lost.append(f"{fault.name}: something was changed")
            if door.told:
                lost.append(f"{fault.name}: git has told {door.told!r}")
            door.told = b""
    _record(record_property, len(QUICK), lost)
