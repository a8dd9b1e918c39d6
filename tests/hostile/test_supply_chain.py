"""What is delivered, and whom it speaks to: image contents, locked dependencies, and no connection
to anybody but the targets."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import pytest

from release import project
from release.pins import problems
from standins.dokku.server import DokkuStandIn
from standins.engine import build_image, docker
from standins.sentry import ORG, TOKEN, sentry
from standins.support import ROOT, Checkout, Run, settings_for
from standins.webhooks import webhooks
from tests.hostile.outside import STRAYS
from tests.hostile.tally import Kind, Record, tried
from tests.hostile.worlds import heroku_job

# --- what is in an image: each layer, for what a later one hides can be had all the same ---

OTHER_IMAGES = ("compose", "swarm", "heroku", "full")
OPEN_TO_ALL = {"tmp", "var/tmp"}
# Engines mount their own /dev over that of a base image; GnuTLS tests itself with a key of its own.
EXPECTED = re.compile(r"^dev(/|$)|/libgnutls\.so\.[\d.]+$")
PRIVATE = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=\s]{64}")
REMAINS = re.compile(
    r"(^|/)(\.git|\.ssh|\.netrc|\.npmrc|\.pypirc|\.aws|\.docker|\.gnupg|\.env|\.\w+_history)(/.|$)"
    r"|^root/\.(cache|npm|local)/|^var/cache/apt/.*\.(deb|bin)$|^var/lib/apt/lists/.*_"
    r"|(^|/)__pycache__/.*\.opt-"
)
TOOLS = re.compile(
    r"^(usr/)?(local/)?s?bin/(cc|gcc|g\+\+|c\+\+|clang|ld|as|make|perl|pip3?|npm|npx|yarn|apt|apt-get"
    r"|dpkg|curl|wget|nc|sudo|su|gdb|sshd)$|/site-packages/pip/|/dist-packages/pip/"
)
SECRET = re.compile(r"(?i)(token|password|passwd|secret|api_?key)=")


def _layers(image: str) -> Iterator[tuple[str, IO[bytes]]]:
    """Name and bytes of each file of `docker save`, however its layers are called."""
    with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as process:
        with tarfile.open(fileobj=process.stdout, mode="r|") as outer:
            for member in outer:
                if member.isfile() and (data := outer.extractfile(member)):
                    yield member.name, data
        assert process.stdout
        assert not process.stdout.read()


def _in(name: str, data: IO[bytes]) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """The members of a layer; nothing where this is none."""
    if name.endswith((".json", "/VERSION", "/json")) or name in {"oci-layout", "repositories"}:
        return
    try:
        layer = tarfile.open(fileobj=data, mode="r|*")  # noqa: SIM115 - closed with the outer one
    except tarfile.ReadError:  # one of the JSON files, which have no names of their own
        return
    for member in layer:
        file = layer.extractfile(member) if member.isfile() else None
        yield member, file.read() if file else b""


def _suspicious(member: tarfile.TarInfo, data: bytes) -> Iterator[str]:
    """What should not be so in a file of an image."""
    name = member.name.strip("./")
    if EXPECTED.search(name):
        return
    if member.mode & (stat.S_ISUID | stat.S_ISGID):
        yield "setuid or setgid"
    sticky = member.isdir() and name in OPEN_TO_ALL and member.mode & stat.S_ISVTX
    if member.mode & stat.S_IWOTH and not member.issym() and not sticky:
        yield "anybody may write it"
    if member.ischr() or member.isblk():
        yield "a device"
    if member.uid:
        yield f"belongs to user {member.uid}"
    if REMAINS.search(name) or TOOLS.search(name):
        yield "should not be there"
    if PRIVATE.search(data):
        yield "a private key"
    if name == "etc/shadow" and re.search(rb"(?m)^[^:]*:[^*!:]", data):
        yield "a password"


@pytest.mark.docker
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "target",
    ["dokku", *(pytest.param(name, marks=pytest.mark.hostile) for name in OTHER_IMAGES)],
)
def test_image_has_nothing_that_it_should_not_have(target: str, record_property: Record) -> None:
    """(faults J14)"""
    image, count, found = build_image(target), 0, set[str]()
    for outer, data in _layers(image):
        for member, content in _in(outer, data):
            count += 1
            found |= {f"{member.name}: {each}" for each in _suspicious(member, content)}
    record_property("hostile", [Kind.CONTENTS.name, count, len(found)])
    assert count > 1000, "no layer was read"
    assert not found, "\n".join(sorted(found))


@pytest.mark.docker
def test_image_starts_as_it_says(image: str) -> None:
    """As root, since GitHub's files belong to root, but without anything that needs it: any other
    user works (test_image.py); no program of its own, no port, no secret (faults J14)."""
    [facts] = json.loads(docker("inspect", image).stdout)
    config = facts["Config"]
    unset = ("User", "Entrypoint", "ExposedPorts", "Volumes", "OnBuild")
    assert {name: config.get(name) for name in unset if config.get(name)} == {}
    told = [
        *config["Env"],
        docker("history", "--no-trunc", "--format={{.CreatedBy}}", image).stdout,
    ]
    assert [each for each in told if SECRET.search(each)] == []


def test_everything_that_is_built_in_is_locked(record_property: Record) -> None:
    """Packages of Python and npm by hash, actions by commit, images by digest; nothing is fetched
    in another way (faults J14)."""
    lines = sum(
        len(re.findall(r"--hash=|\"integrity\"|^\s*(?:- )?uses:", path.read_text(), re.M))
        for pattern in ("requirements/*.txt", "requirements/*/package-lock.json",
                        ".github/workflows/*.yml")
        for path in ROOT.glob(pattern)
    )  # fmt: skip
    tried(record_property, Kind.LOCKED, lines)
    assert lines > 1000
    assert list(problems(project.load(ROOT))) == []
    dockerfile = (ROOT / "Dockerfile").read_text()
    built = re.sub(r"\\\n", " ", re.sub(r"(?m)^\s*#.*\n", "", dockerfile))
    for install in re.findall(r"pip [^&\n]*install[^&\n]*", built):
        if "apt-get" not in install:
            assert "--require-hashes" in install
            assert "--only-binary :all:" in install
    assert re.findall(r"npm-cli\.js (?!ci )\w+|npm i\w*|npx", built) == []
    assert "npm-cli.js ci" in dockerfile
    assert "--ignore-scripts" in dockerfile
    assert not re.search(r"\b(curl|wget|ADD|git clone)\b", built)


# --- whom a run speaks to ---

SPEAKS = re.compile(
    r"(connect|sendto|sendmsg|sendmmsg)\(.*?sa_family=AF_INET6?, sin6?_port=htons\((\d+)\)"
    r".*?(?:inet_addr\(\"([^\"]+)\"\)|inet_pton\(AF_INET6, \"([^\"]+)\")"
)


@contextmanager
def _watched(folder: Path) -> Iterator[tuple[list[str], Path]]:
    """What starts a command so that its connections are noted, and where."""
    if not shutil.which("strace"):
        assert "CI" not in os.environ, "strace is needed (Debian: apt-get install strace)"
        pytest.skip("no strace: whom a run speaks to was not seen")
    notes = folder / "strace"
    calls = "trace=connect,sendto,sendmsg,sendmmsg"
    yield ["strace", "-f", "-qq", "--seccomp-bpf", "-e", calls, "-o", str(notes)], notes


def _strangers(notes: Path, ports: set[int]) -> tuple[int, list[str]]:
    """How often somebody was spoken to, and who was no target. A connection to port 0 is how the C
    library sorts addresses: nothing is sent."""
    told = SPEAKS.findall(notes.read_text(errors="replace"))
    known = {("127.0.0.1", str(port)) for port in ports}
    there = [(four or six, port) for _, port, four, six in told]
    return len(there), [
        f"{host}:{port}" for host, port in there if (host, port) not in known and port != "0"
    ]


def _port(url: str) -> int:
    return urlsplit(url).port or 0


def _run(words: list[str], cwd: Path, env: Mapping[str, str], folder: Path) -> tuple[Any, Path]:
    with _watched(folder) as (through, notes):
        done = Run("ci-deploy", *words, cwd=cwd, env=env, through=through).done(timeout=300)
    assert done.code == 0, done.output + done.errors
    return done, notes


@pytest.mark.timeout(600)
def test_deploy_to_dokku_speaks_to_its_targets_only(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path, record_property: Record
) -> None:
    """Neither to a name server nor to the makers of git, ssh and sentry-cli (faults J14)."""
    with sentry() as server, webhooks() as hook:
        env = settings_for(
            dokku,
            MATTERMOST_WEBHOOK_URL=hook.url,
            SENTRY_AUTH_TOKEN=TOKEN,
            SENTRY_URL=server.url,
            SENTRY_ORG=ORG,
            SENTRY_PROJECT="web",
            DEPLOY_ENVIRONMENT="staging",
        )
        _done, notes = _run(["deploy"], checkout.path, env, tmp_path)
        ports = {dokku.port, _port(server.url), _port(hook.url)}
        count, strangers = _strangers(notes, ports)
        assert server.short
        assert hook.requests
    tried(record_property, Kind.STRANGERS, count)
    assert count >= len(ports), "nothing was seen"
    assert strangers == []


@pytest.mark.hostile
@pytest.mark.timeout(300)
def test_deploy_sends_no_packet_to_anybody_else(tmp_path: Path, record_property: Record) -> None:
    """In a network namespace of its own, with a way out at which each packet is seen: also what no
    system call tells, which strace sees (faults J14)."""
    alone = ["unshare", "--net"]
    device = [*alone, "ip", "link", "add", "out", "type", "veth", "peer", "name", "seen"]
    if subprocess.run(device, capture_output=True, check=False).returncode:
        assert "CI" not in os.environ, "`unshare --net` with a pair of devices is needed"
        pytest.skip("no network namespace can be made here: packets were not seen")
    argv = [*alone, sys.executable, "-m", "tests.hostile.outside", str(tmp_path)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    tried(record_property, Kind.PACKETS, found["count"])
    assert found["code"] == 0, found["said"]
    assert "nobody was told" not in found["said"]
    assert found["seen"] == [address for address, _ in STRAYS]
    assert found["count"] > 100
    assert found["strangers"] == []


@pytest.mark.hostile
@pytest.mark.timeout(600)
def test_heroku_cli_speaks_to_its_targets_only(tmp_path: Path, record_property: Record) -> None:
    """No telemetry of the CLI, no look for an update (faults J14)."""
    with heroku_job(tmp_path) as (server, checkout, env):
        ports = {_port(server.url), server.rendezvous.port}
        for words in (["deploy"], ["run", "--", "echo", "hello"]):
            _done, notes = _run(words, checkout.path, env, tmp_path)
            count, strangers = _strangers(notes, ports)
            tried(record_property, Kind.STRANGERS, count)
            assert count >= 1, "nothing was seen"
            assert strangers == []
