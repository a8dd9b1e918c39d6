"""The proxies of docs/zero-downtime.md, and a client that asks them all the time."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from standins.compose.app import App
from standins.dockerhosts import DockerHost
from standins.support import ROOT

IMAGE = "ci-deploy-test/proxies"
PROXIES = {  # name → where its file goes, how it is started
    "caddy": ("Caddyfile", "/etc/caddy/Caddyfile", "caddy run --config /etc/caddy/Caddyfile"),
    "nginx": ("nginx.conf", "/etc/nginx/sites-enabled/default", "nginx -g 'daemon off;'"),
    "haproxy": ("haproxy.cfg", "/etc/haproxy/app.cfg", "haproxy -f /etc/haproxy/app.cfg"),
}
PROXY = """
  {name}:
    image: {image}
    pull_policy: never
    command: {command}
    depends_on: [app]
    ports: ["80"]
    restart: unless-stopped
    volumes: ["./{file}:{path}:ro"]
"""
TAGS = {"good1": "good", "good2": "good", "good3": "good", "bad1": "bad"}


def service(name: str) -> str:
    """One of the proxies for a compose file."""
    file, path, command = PROXIES[name]
    return PROXY.format(name=name, image=IMAGE, file=file, path=path, command=command)


def snippets() -> dict[str, str]:
    """The proxies' files as the page has them, by name."""
    docs, files = (ROOT / "docs/zero-downtime.md").read_text(), {}
    for file, _, _ in PROXIES.values():
        [files[file]] = re.findall(rf'title="{re.escape(file)}"\n(.*?)```', docs, re.S)
    return files


def load(host: DockerHost) -> None:
    """The image of the proxies, and `zero`, the app's, with tags that behave differently."""
    if "zero" in host.root("docker", "images", "--format", "{{.Repository}}"):
        return
    host.give(IMAGE, "proxies")
    for tag, behaves in TAGS.items():
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
    away: float  # the longest that nobody was answered, in seconds
    why: dict[str, int]


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
    host.root("rm", "-f", stop)
    script = Path(__file__).with_name("client.py").read_text()
    seen: dict[str, Seen] = {}

    def ask() -> None:
        for line in host.root("python3", "-c", script, stop, *ports).splitlines():
            port, *figures = json.loads(line)
            seen[ports[port]] = Seen(*figures)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield seen
    finally:
        host.root("touch", stop)
        thread.join()
