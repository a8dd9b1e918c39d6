"""Docker hosts to deploy to: a real engine and Compose v2 in containers, reached by real ssh, and a
real registry with a login. Started once per test process, in a network of their own.

A plugin of pytest: tests/conftest.py names it. Each test gets a project of its own on them.
"""

from __future__ import annotations

import base64
import json
import os
import random
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from standins.engine import LABEL, MACHINE, docker, inside, need_docker
from standins.support import Run

OCI = "application/vnd.oci.image."
USER, PASSWORD = "robot", "s3ntinel-r3gistry pa$s'word"
HOST_FLAGS = [
    "--cap-add=ALL", "--cap-drop=SYS_RESOURCE", "--device-cgroup-rule=a *:* rwm",
    "--security-opt=seccomp=unconfined", "--security-opt=apparmor=unconfined",
    "-v=/var/lib/docker", "-v=/sys/fs/cgroup:/sys/fs/cgroup:rw", "-e=GOMAXPROCS=1", "-e=GOGC=400",
]  # fmt: skip
# A program that starts quickly, ends quickly on TERM, and behaves as its image says.
APP = """#!/bin/sh
trap 'echo bye; exit 0' TERM
echo "$VERSION starts"
case $BEHAVES in
good) touch /ok ;;
crash) echo "cannot find the meaning"; exit 3 ;;
unhealthy) echo "waiting for Godot" ;;
slow) sleep 2; touch /ok ;;
esac
while :; do sleep 1000 & wait $!; done
"""

# In place of Rails: what it is called with is written down where there is /data.
RAILS = """#!/bin/sh
echo "$VERSION rails $*"
[ ! -d /data ] || echo "$VERSION rails $*" >>/data/rails
"""

# In front of the real one: a test may make it fail, hang or leave a trace.
SHIM = "/usr/local/bin/docker"
FAULTY = """#!/bin/sh
export GOMAXPROCS=1 GOGC=400
if [ -s /tmp/fault ]; then . /tmp/fault; fi
exec /usr/bin/docker "$@"
"""


@dataclass
class Network:
    """A network with fixed addresses: a host that is killed and started again keeps its own."""

    name: str
    prefix: str

    def address(self, number: int) -> str:
        """An address in it."""
        return f"{self.prefix}.{number}"


@dataclass
class Registry:
    """A registry that asks for a password."""

    address: str

    @property
    def image(self) -> str:
        """The app's image, without a tag."""
        return f"{self.address}/app"

    def push_index(self, tag: str, of: str) -> None:
        """Name an image by an index, as images for several platforms are; `crash1` is for arm64."""
        kind = f"{OCI}index.v1+json"
        entries = [
            {**self._entry(each), "platform": {"os": "linux", "architecture": machine}}
            for machine, each in (("amd64", of), ("arm64", "crash1"))
        ]
        index = {"schemaVersion": 2, "mediaType": kind, "manifests": entries}
        self._call("PUT", tag, {"Content-Type": kind}, json.dumps(index).encode())

    def _entry(self, tag: str) -> dict[str, Any]:
        kinds = "application/vnd.docker.distribution.manifest.v2+json", f"{OCI}manifest.v1+json"
        headers, content = self._call("GET", tag, {"Accept": ", ".join(kinds)})
        digest, kind = headers["Docker-Content-Digest"], headers["Content-Type"]
        return {"mediaType": kind, "digest": digest, "size": len(content)}

    def _call(
        self, method: str, tag: str, headers: dict[str, str], content: bytes | None = None
    ) -> tuple[Message, bytes]:
        """Of the registry's API: the head of its answer, and the manifest."""
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        request = urllib.request.Request(
            f"http://{self.address}/v2/app/manifests/{tag}",
            method=method, data=content, headers={"Authorization": f"Basic {login}", **headers},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.headers, answer.read()


@dataclass
class DockerHost:
    """A host: what a test looks at does not go through what is tested."""

    container: str
    address: str
    key: str
    known_hosts: str = ""
    faulty: bool = False

    def root(self, *words: str, check: bool = True, stdin: str = "") -> str:
        """Run a command as root; what it printed."""
        return inside(self.container, *words, check=check, stdin=stdin).stdout

    def sh(self, script: str, *, check: bool = True) -> str:
        """Run shell text as the user who deploys."""
        words = ["su", "-s", "/bin/sh", "deploy", "-c", f"cd; {script}"]
        return self.root(*words, check=check)

    def wait(self, seconds: float = 180.0) -> None:
        """Until ssh answers, which it does when the engine does."""
        until = time.monotonic() + seconds
        while "Server listening" not in _logs_since_start(self.container):
            assert time.monotonic() < until, _logs_since_start(self.container)
            time.sleep(0.1)

    def kill(self) -> None:
        """Pull the plug: nothing gets a signal that it could handle."""
        docker("kill", "--signal=KILL", self.container)

    def kill_runs(self, *others: str) -> None:
        """SIGKILL our program on the host, all its processes at once, one that is held too; and
        what else has one of these in its command line."""
        pattern = "|".join(["[r]unner-[0-9a-f]*.sh (run|stage)", f"sh {SHIM}", *others])
        self.root("pkill", "-KILL", "-f", pattern, check=False)

    def strike(self, running: Run, seconds: float, choose: random.Random, *others: str) -> None:
        """Kill a job at a random moment of so many seconds; at half of them also `kill_runs`."""
        time.sleep(choose.uniform(0.1, seconds))
        running.signal(signal.SIGKILL)
        if choose.random() < 0.5:
            self.kill_runs(*others)
        running.done(timeout=240)

    def start(self) -> None:
        """Power on again."""
        docker("start", self.container)
        self.wait()

    def give(self, image: str, folder: str) -> None:
        """Build an image of tests/machine, and bring it there."""
        build = [str(MACHINE / "docker-build.sh"), "-q", "-t", image, str(MACHINE / folder)]
        subprocess.run(build, check=True, capture_output=True)
        with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as saved:
            load = ["docker", "exec", "-i", self.container, "docker", "load"]
            subprocess.run(load, stdin=saved.stdout, check=True, capture_output=True)

    def connections(self) -> tuple[int, int]:
        """How many ssh connections sshd has accepted since it was started, and how many commands
        were executed over them."""
        log = _logs_since_start(self.container)
        return log.count("Accepted publickey"), log.count("Starting session: command")

    def fault(self, script: str) -> None:
        """Shell text that runs before each `docker` of the host; empty for none."""
        self.root("sh", "-c", "cat >/tmp/fault && chmod 644 /tmp/fault", stdin=script)
        self.faulty = bool(script)

    def hold(self, words: str, first: str = ":") -> None:
        """Let each `docker` with such words wait until `release`; before that it does `first`."""
        wait = "touch /tmp/held; while [ -e /tmp/hold ]; do sleep 0.1; done"
        script = f'case "$*" in {words}) {first}; {wait};; esac'
        prepare = "rm -f /tmp/held; touch /tmp/hold; cat >/tmp/fault; chmod 644 /tmp/fault"
        self.root("sh", "-c", prepare, stdin=script)
        self.faulty = True

    def held(self) -> None:
        """Until one waits."""
        self.until("test -e /tmp/held")

    def release(self) -> None:
        """Let them go on, and the next ones pass."""
        self.root("sh", "-c", ": >/tmp/fault; rm -f /tmp/hold /tmp/held")
        self.faulty = False

    def until(self, condition: str, seconds: float = 60.0) -> None:
        """Wait until shell text on the host is true; in one command, since they are not cheap."""
        loop = f"until {condition}; do sleep 0.05; done"
        self.root("timeout", f"{seconds:.0f}", "sh", "-c", loop)


def _logs_since_start(container: str) -> str:
    started = docker("inspect", "-f", "{{.State.StartedAt}}", container).stdout.strip()
    done = docker("logs", "--since", started, container, check=False)
    return done.stdout + done.stderr


def _own(*arguments: str) -> str:
    """Start a container that does not outlive the run."""
    return docker("run", "-d", "--init=false", f"--label={LABEL}", *arguments).stdout.strip()


Fleet = tuple[list[DockerHost], Registry]


@contextmanager
def _network() -> Iterator[Network]:
    """A subnet that nobody else has."""
    subprocess.run([MACHINE / "images.sh"], check=True, capture_output=True)
    name = f"ci-deploy-test-{os.getpid()}"
    for _ in range(20):  # until one is free
        prefix = f"172.{random.randint(24, 31)}.{random.randint(0, 255)}"
        subnet = f"--subnet={prefix}.0/24"
        if (
            docker("network", "create", f"--label={LABEL}", subnet, name, check=False).returncode
            == 0
        ):
            break
    else:
        message = "no subnet is free for the Docker hosts of the tests"
        raise RuntimeError(message)
    try:
        yield Network(name, prefix)
    finally:
        docker("network", "rm", name, check=False)


@contextmanager
def fleet(folder: Path, count: int = 2) -> Iterator[Fleet]:
    """Hosts and their registry, with the images of the tests in it; `folder` is for the key."""
    keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"]
    subprocess.run([*keygen, folder / "key"], check=True)
    key, public = (folder / "key").read_text(), (folder / "key.pub").read_text().strip()
    started: list[str] = []
    with _network() as network:
        registry = Registry(f"{network.address(5)}:5000")
        hosts = []
        try:
            for number in range(1, count + 1):
                address = network.address(10 + number)
                container = _own(
                    f"--network={network.name}", f"--ip={address}", f"--hostname=host{number}",
                    "-e=SSH_USER=deploy", f"-e=AUTHORIZED_KEYS={public}",
                    f"-e=INSECURE_REGISTRY={registry.address}", *HOST_FLAGS,
                    "ci-deploy-test/docker-host", "-o", "LogLevel=VERBOSE",
                    "-o", "KexAlgorithms=curve25519-sha256",  # a tenth of a second less each
                )  # fmt: skip
                started.append(container)
                hosts.append(DockerHost(container, address, key))
            started.append(
                _own(
                    f"--network={network.name}", f"--ip={network.address(5)}",
                    f"-e=REGISTRY_USER={USER}", f"-e=REGISTRY_PASSWORD={PASSWORD}",
                    "ci-deploy-test/registry",
                )
            )  # fmt: skip
            for host in hosts:
                host.wait()
                host.root("sh", "-c", f"cat >{SHIM} && chmod 755 {SHIM}", stdin=FAULTY)
                shown = host.root("cat", "/etc/ssh/ssh_host_ed25519_key.pub").split()[:2]
                host.known_hosts = " ".join([host.address, *shown])
            _push_images(registry, hosts[0])
            yield hosts, registry
        finally:
            docker("rm", "-fv", *started, check=False)


@contextmanager
def swarm_of(fleet: Fleet) -> Iterator[None]:
    """The first host is a swarm of its own."""
    manager = fleet[0][0]
    manager.root("docker", "swarm", "init", f"--advertise-addr={manager.address}")
    try:
        yield
    finally:
        manager.root("docker", "swarm", "leave", "--force", check=False)


def places(app: str, hosts: Sequence[DockerHost], registry: Registry) -> dict[str, str]:
    """What varies in a log of a deploy to them → what a golden page shows."""
    shown = {host.address: f"host-{at}" for at, host in enumerate(hosts, 1)}
    return {app: "shop", registry.address: "registry.example.com", **shown}


@pytest.fixture(scope="session")
def docker_fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Two hosts and a registry, shared by the tests of one process."""
    need_docker()
    with fleet(tmp_path_factory.mktemp("fleet")) as found:
        yield found


@pytest.fixture
def docker_hosts(docker_fleet: Fleet) -> list[DockerHost]:
    """The two hosts."""
    return docker_fleet[0]


@pytest.fixture
def registry(docker_fleet: Fleet) -> Registry:
    """The registry, with the images of the tests in it."""
    return docker_fleet[1]


def _push_images(registry: Registry, host: DockerHost) -> None:
    """Made on the first host and removed there again: every test has to pull them."""
    tags = {f"good{n}": "good" for n in range(1, 5)}
    tags |= {"bad1": "unhealthy", "crash1": "crash", "slow1": "slow"}
    build = "\n".join(
        f"docker import -c 'ENV VERSION={tag} BEHAVES={behaves}' -c 'CMD [\"/app\"]' "
        f"/tmp/rootfs.tar {registry.image}:{tag} >/dev/null\ndocker push -q {registry.image}:{tag}"
        for tag, behaves in tags.items()
    )
    script = f"""
        set -e
        mkdir -p /tmp/rootfs/bin && cd /tmp/rootfs
        cp -L /bin/busybox bin/busybox
        cat >app
        chmod 755 app
        printf '%s' "$RAILS" >bin/rails && chmod 755 bin/rails
        mkdir -p tmp && chmod 777 . tmp
        for name in sh sleep touch test cat env echo grep rm wc httpd wget date hostname; do
            ln -sf busybox bin/$name
        done
        tar -c -f ../rootfs.tar .
        export DOCKER_CONFIG=/tmp/pushing
        login="docker login -u {USER} --password-stdin {registry.address}"
        until $login </tmp/password; do sleep 0.2; done
        {build}
        rm -rf /tmp/pushing /tmp/password
        docker rmi -f $(docker images -q) >/dev/null
    """
    host.root("sh", "-c", "cat >/tmp/password", stdin=PASSWORD)
    host.root("env", f"RAILS={RAILS}", "sh", "-c", script, stdin=APP)
