"""`order: start-first` behind the proxies of docs/zero-downtime.md, with real engines."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.compose.app import FILE, App
from tests.docker import MACHINE
from tests.dockerhosts import DockerHost
from tests.support import ROOT

IMAGE = "ci-deploy-test/proxies"
PROXIES = {  # name → where its file goes, how it is started
    "caddy": ("Caddyfile", "/etc/caddy/Caddyfile", "caddy run --config /etc/caddy/Caddyfile"),
    "nginx": ("nginx.conf", "/etc/nginx/sites-enabled/default", "nginx -g 'daemon off;'"),
    "haproxy": ("haproxy.cfg", "/etc/haproxy/app.cfg", "haproxy -f /etc/haproxy/app.cfg"),
}
EXAMPLE = ROOT / "examples/zero-downtime"
# What the stand-ins of the example cannot do: be curl or PostgreSQL, have port 80.
CHECK = '["CMD", "python3", "-IS", "/app.py", "check"]'
STAND_INS = {
    "${DOCKER_REGISTRY}/acme/shop:": "zero:",
    "image: caddy:2": f"image: {IMAGE}\n    command: {PROXIES['caddy'][2]}",
    "image: postgres:18": f'image: {IMAGE}\n    command: ["sleep", "3600"]',
    '["CMD", "curl", "--fail", "--silent", "http://localhost:3000/up"]': CHECK,
    '["CMD", "pg_isready", "--username=postgres"]': '["CMD", "true"]',
    "db]\n    restart: unless-stopped": 'db]\n    environment: {BOOT: "1", TAKES: "1"}',
    '["80:80", "443:443"]': '["80"]',
    "order: start-first": "order: start-first\n        parallelism: 0",
}
PROXY = """
  {name}:
    image: ci-deploy-test/proxies
    command: {command}
    depends_on: [app]
    ports: ["80"]
    restart: unless-stopped
    volumes: ["./{file}:{path}:ro"]
"""


@pytest.fixture
def web(app: App) -> App:
    """An app with an image that serves, behind each of the proxies."""
    host = app.hosts[0]
    _load(host)
    text = (EXAMPLE / FILE).read_text()
    for old, new in STAND_INS.items():
        assert old in text
        text = text.replace(old, new)
    text = re.sub("(    image: .*\n)", r"\1    pull_policy: never\n", text)
    services, volumes = text.split("\nvolumes:\n")
    docs, files = (ROOT / "docs/zero-downtime.md").read_text(), {}
    for name, (file, path, command) in PROXIES.items():
        [files[file]] = re.findall(rf'title="{re.escape(file)}"\n(.*?)```', docs, re.S)
        if name not in services:
            services += PROXY.format(name=name, file=file, path=path, command=command)
    example = (EXAMPLE / "Caddyfile").read_text().replace("shop.example.com", ":80")
    assert files["Caddyfile"] == example, "docs and example differ"
    files[FILE] = f"{services}\nvolumes:\n{volumes}"
    app.checkout.commit("Behind proxies", files)
    return app


def _load(host: DockerHost) -> None:
    """Its image, with tags of it that behave differently."""
    if "zero" in host.root("docker", "images", "--format", "{{.Repository}}"):
        return
    build: list[str | Path] = [MACHINE / "docker-build.sh", "-q", "-t", IMAGE, MACHINE / "proxies"]
    subprocess.run(build, check=True, capture_output=True)
    with subprocess.Popen(["docker", "save", IMAGE], stdout=subprocess.PIPE) as saved:
        load = ["docker", "exec", "-i", host.container, "docker", "load"]
        subprocess.run(load, stdin=saved.stdout, check=True, capture_output=True)
    for tag, behaves in {"good1": "good", "good2": "good", "good3": "good", "bad1": "bad"}.items():
        host.root(
            "sh", "-ec",
            f"c=$(docker create -e VERSION={tag} -e BEHAVES={behaves} {IMAGE});"
            f"docker commit $c zero:{tag}; docker rm $c",
        )  # fmt: skip


class Seen(NamedTuple):
    """What the client saw through one proxy."""

    asked: int
    gets: int  # failed
    posts: int  # failed
    why: str


@contextmanager
def client(app: App, *proxies: str) -> Iterator[dict[str, Seen]]:
    """Asks all the time."""
    host, stop = app.hosts[0], f"/tmp/stop-{app.name}"
    ports = {
        each["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"]: name
        for name in proxies
        for each in app.containers(0, name)
    }
    answers = "import urllib.request as u; u.urlopen('http://127.0.0.1:{}/')"
    for port in ports:
        host.until(f'python3 -c "{answers.format(port)}" 2>/dev/null', 120)
    script = Path(__file__).with_name("client.py").read_text()
    seen: dict[str, Seen] = {}

    def ask() -> None:
        for line in host.root("python3", "-c", script, stop, *ports).splitlines():
            port, asked, gets, posts, why = line.split(" ", 4)
            seen[ports[port]] = Seen(int(asked), int(gets), int(posts), why)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield seen
    finally:
        host.root("touch", stop)
        thread.join()


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_no_request_is_lost_behind_any_proxy(web: App) -> None:
    """Of a release that is good, of one that is not, and the proxies themselves stay.

    Takes a minute: three proxies, three deploys, and a client that asks them all the time."""
    done = web.deploy("good1", COMPOSE_STEADY_TIME="1")
    assert done.code == 0, done.output
    fronts = {name: {each["Id"] for each in web.containers(0, name)} for name in PROXIES}
    with client(web, *PROXIES) as seen:
        web.checkout.commit("For good2")
        front = web.containers(0, "haproxy")[0]["NetworkSettings"]["Ports"]["80/tcp"][0]
        url = f"http://localhost:{front['HostPort']}/"
        done = web.deploy("good2", COMPOSE_STEADY_TIME="1", COMPOSE_CHECK_URL=url)
        assert done.code == 0, done.output
        assert re.fullmatch(r"\d{2,} requests during the switch, 0 failed.*", done.report["client"])
        running = {each["Id"] for each in web.containers(0, "app")}
        web.checkout.commit("For bad1")
        bad = web.deploy("bad1", COMPOSE_STEADY_TIME="1")
    assert bad.code == 23, bad.output
    assert "cannot find the meaning" in bad.output
    # Debian's Caddy is too old to send a refused POST to another container: see the docs.
    lost = {name: each.gets + each.posts * (name != "caddy") for name, each in seen.items()}
    assert lost == dict.fromkeys(PROXIES, 0), seen
    assert all(each.asked > 100 for each in seen.values()), seen
    assert running == {each["Id"] for each in web.containers(0, "app")}, "it has never stopped"
    assert fronts == {name: {each["Id"] for each in web.containers(0, name)} for name in PROXIES}
    web.runs("good2", 2)
    before = web.ids()
    made = f"{web.state}/current/proven"
    files = [f"{web.state}/current/files/{FILE}", f"{web.state}/current/content.json"]
    web.hosts[0].root(
        "docker", "compose", "-p", web.name, "--project-directory", web.folder, "--env-file",
        f"{made}/compose.env", *(f"-f{each}" for each in files), f"-f{made}/override.json",
        "up", "-d",
    )  # fmt: skip
    assert web.ids() == before, "a `docker compose up` by hand changes nothing"
