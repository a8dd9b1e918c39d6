"""`order: start-first` behind the proxies of docs/zero-downtime.md, with real engines."""

from __future__ import annotations

import re

import pytest

from standins.compose.app import App
from standins.compose.proxies import IMAGE, PROXIES, client, load, service, snippets
from standins.host_app import FILE
from standins.support import ROOT

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


@pytest.fixture
def web(app: App) -> App:
    """An app with an image that serves, behind each of the proxies."""
    host = app.hosts[0]
    load(host)
    text = (EXAMPLE / FILE).read_text()
    for old, new in STAND_INS.items():
        assert old in text
        text = text.replace(old, new)
    text = re.sub("(    image: .*\n)", r"\1    pull_policy: never\n", text)
    services, volumes = text.split("\nvolumes:\n")
    files = snippets()
    services += "".join(service(name) for name in PROXIES if name not in services)
    example = (EXAMPLE / "Caddyfile").read_text().replace("shop.example.com", ":80")
    assert files["Caddyfile"] == example, "docs and example differ"
    files[FILE] = f"{services}\nvolumes:\n{volumes}"
    app.checkout.commit("Behind proxies", files)
    return app


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
