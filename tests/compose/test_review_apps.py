"""Review apps on Docker hosts: a project of its own for each branch, and nothing left of it."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator

import pytest

from standins.compose.app import App
from standins.support import ROOT, run
from tests.compose.reviewed import KILLS, LABEL, STACK, Reviewed


@pytest.fixture
def branch(app: App) -> Iterator[Reviewed]:
    """A branch whose compose file is another one than that of the base app, which runs."""
    assert app.deploy("good1").code == 0
    host, proxy = app.hosts[0], f"{app.name}-proxy"
    host.root("docker", "network", "create", proxy)
    app.write(STACK.format(image=app.registry.image, proxy=proxy))
    made = Reviewed(app)
    yield made
    _clear(app)
    host.root("docker", "network", "rm", proxy, check=False)


def _clear(app: App) -> None:
    """Whatever a test has left of review apps."""
    for host in app.hosts[: app.used]:
        script = (
            f"for p in $(docker ps -a --format '{{{{.Label \"com.docker.compose.project\"}}}}' "
            f"| grep '^{app.name}-'); do docker rm -fv $(docker ps -aq --filter {LABEL}=$p); done; "
            f"docker volume rm $(docker volume ls -q | grep '^{app.name}-'); "
            f"docker network rm $(docker network ls --format '{{{{.Name}}}}' | grep '^{app.name}-')"
        )
        host.root("sh", "-c", script, check=False)


def test_review_app_is_a_project_of_its_own_from_the_branch_and_goes_without_a_trace(
    branch: Reviewed,
) -> None:
    """Its compose file, volumes, networks, environment, directory, images; the base app is not
    touched. Removed by a job without a checkout; twice is fine."""
    app, host = branch.app, branch.app.hosts[0]
    host.sh(f"echo PRODUCTION=secret >>{app.name}/.env")
    base, image = app.ids(), f"{app.registry.image}:good4"
    host.root("docker", "rmi", "-f", image, check=False)  # an earlier test may have brought it
    planned = branch.run("plan", "review", tag="good4")
    assert planned.code == 0, planned.output
    assert branch.left() == "", "plan makes nothing"
    done = branch.review("good4")
    assert done.code == 0, done.output
    [made] = branch.containers()
    env = dict(line.split("=", 1) for line in made["Config"]["Env"])
    assert env["VERSION"] == "good4"
    assert env["STAGE"] == "review"
    assert env["PIN"] == "$0123"
    assert env["SEEN_HOST"] == f"{branch.name}.review.example.com"
    assert env["SEEN_URL"] == f"https://{branch.name}.review.example.com"
    assert "PRODUCTION" not in env, "the .env by hand is production's"
    assert made["Config"]["Labels"]["ci-deploy.review"] == app.name
    assert {each.get("Name") or each["Source"] for each in made["Mounts"]} == {
        f"{branch.name}_log",
        f"{branch.folder}/data",
    }
    assert done.report["url"] == f"https://{branch.name}.review.example.com"
    again = branch.review("good4")
    assert again.report["status"] == "skipped", again.output

    host.root("docker", "exec", made["Id"], "sh", "-c", "echo x >/data/of-root")
    other = Reviewed(app, "other")
    assert other.review("good4").code == 0
    other_ids = {each["Id"] for each in other.containers()}
    done = branch.destroy()
    assert done.code == 0, done.output
    assert branch.left() == ""
    assert {each["Id"] for each in other.containers()} == other_ids
    assert host.root("docker", "images", "-q", image), "the other branch has it still"
    assert other.destroy().code == 0
    assert not host.root("docker", "images", "-q", image), "only review apps had it"
    again = branch.destroy()
    assert again.code == 0, again.output
    assert "does not exist: nothing to remove" in again.output
    assert app.ids() == base
    app.runs("good1")


def test_what_two_projects_cannot_share_is_refused_all_at_once_before_anything_is_made(
    branch: Reviewed,
) -> None:
    """Ports, names, what leads to the base app's data or takes over its visitors; `plan` too."""
    app, host = branch.app, branch.app.hosts[0]
    image = app.registry.image
    shared, data = f"{app.name}-shared", f"/srv/{app.name}"
    database = f"{app.name}/postgres:16"
    host.root("docker", "network", "create", shared)
    host.root("docker", "tag", f"{image}:good1", database)
    run_base = (
        f"docker run -d --name {app.name}-db --network {shared} -v {data}:/var/lib/postgresql "
        f"-l 'traefik.http.routers.{app.name}.rule=Host(`a`)' {database}"
    )
    host.root("sh", "-c", run_base)
    app.write(
        f"""
services:
  app:
    image: {image}:${{DEPLOY_TAG}}
    ports: ["8080:80", "9000"]
    container_name: shop
    volumes: ["{app.folder}/data:/data", "{data}:/db", "old:/old", "named:/named"]
    labels: ["traefik.http.routers.{app.name}.rule=Host(`${{REVIEW_HOST}}`)"]
    networks: [shared]
  job:
    image: {image}:${{DEPLOY_TAG}}
    network_mode: host
    environment: {{THEIR: "postgres://u:pass@db.example.com/shop"}}
volumes: {{old: {{external: true, name: x}}, named: {{name: shop-data}}}}
networks: {{shared: {{external: true, name: {shared}}}}}
"""
    )
    try:
        done = branch.run("plan", "review", tag="good2")
        assert done.code == 2, done.output
        for words in (
            "app publishes the port 8080",
            "`container_name` shop",
            f"mounts {app.folder}/data, which is in or above the base app's DEPLOY_PATH",
            f"mounts {data}, which containers of other projects mount too",
            "the volume `x` is external",
            "`name` shop-data",
            f"the database {app.name}-db is on the external network `{shared}`",
            f"`traefik.http.routers.{app.name}.rule` of app belongs to another project too",
            "job uses the host's network",
        ):
            assert words in " ".join(done.output.split()), words
        assert "9000" not in done.output, "Docker chooses the port"
        done = branch.review("good2", REVIEW_DOMAIN="")
        assert done.code == 2
        assert "REVIEW_DOMAIN: not set, but the compose file uses ${REVIEW_HOST}" in (
            " ".join(done.output.split())
        )
        assert branch.left() == ""
    finally:
        script = f"docker rm -f {app.name}-db; docker network rm {shared}; docker rmi {database}"
        host.root("sh", "-c", script, check=False)


def test_address_of_a_service_of_the_base_app_is_refused(branch: Reviewed) -> None:
    """Its migrations would run on production's data; a service of its own by the same name is
    fine."""
    app = branch.app
    address = "postgres://shop:pa$$word@{}.example.com:5432/shop?sslmode=require"
    theirs = {"APP_CONFIG": f"DATABASE_URL={address.format('db')}"}
    done = app.deploy("good3", **theirs, DEPLOY_REVISION="HEAD~1")
    assert done.code == 0, done.output
    done = branch.review("good2", **theirs)
    assert done.code == 14, done.output
    assert f"same service as DATABASE_URL of {app.name}" in " ".join(done.output.split())
    assert "pa$$word" not in done.output
    done = branch.review("good2", APP_CONFIG="DATABASE_URL=postgres://shop@app/shop")
    assert done.code == 0, done.output


def test_only_what_is_marked_is_touched(branch: Reviewed) -> None:
    """A project of somebody else by that name is refused; `--adopt` is for one that is."""
    app, host = branch.app, branch.app.hosts[0]
    labels = f"-l com.docker.compose.project={branch.name} -l com.docker.compose.oneoff=False"
    start = f"docker run -d --name {branch.name}-app-1 {labels} {app.registry.image}:good1"
    host.root("sh", "-c", start)
    for command in ("review", "destroy"):
        done = branch.run(command)
        assert done.code == 14, done.output
        assert "ci-deploy did not create it as a review app" in " ".join(done.output.split())
    assert len(branch.containers()) == 1
    done = branch.run("destroy", "--adopt", "--yes")
    assert done.code == 0, done.output
    assert branch.left() == ""


def test_stale_ones_and_those_beyond_the_limit_are_listed_and_only_removed_when_told(
    branch: Reviewed,
) -> None:
    """REVIEW_LIMIT says which to remove, the oldest first; one that is there is always updated."""
    app, host = branch.app, branch.app.hosts[0]
    assert branch.review("good2").code == 0
    host.sh(f"touch -d '10 days ago' {branch.folder}/review")
    other = Reviewed(app, "other")
    done = other.review("good2", REVIEW_LIMIT="1")
    assert done.code == 14, done.output
    said = " ".join(done.output.split())
    assert f"{app.name} has 1 review app on {host.address} already (REVIEW_LIMIT=1)" in said
    assert f"{branch.name} (feature/login, deployed 10 days ago)" in said
    assert other.left() == ""
    app.checkout.commit("Another one")
    assert branch.review("good2", REVIEW_LIMIT="1").code == 0
    assert other.review("good2", REVIEW_LIMIT="2").code == 0

    host.sh(f"touch -d '10 days ago' {branch.folder}/review")
    settings = app.settings()
    listed = run("ci-deploy", "destroy", "--stale", "7", cwd=app.checkout.path, env=settings)
    assert listed.code == 0, listed.output
    assert branch.name in listed.output
    assert other.name not in listed.output
    assert branch.left()
    words = ("destroy", "--stale", "7", "--yes")
    done = run("ci-deploy", *words, cwd=app.checkout.path, env=settings)
    assert done.code == 0, done.output
    assert branch.left() == ""
    assert len(other.containers()) == 1


def test_commands_before_traffic_and_one_off_commands_run_in_the_review_app(
    branch: Reviewed,
) -> None:
    """Migrations, seeds: in its own project, with its own environment."""
    app = branch.app
    app.checkout.commit(
        "Rails", {"Gemfile.lock": "GEM\n  specs:\n    rails (8.0.0)\n", "bin/rails": "x\n"}
    )
    more = {"DEPLOY_APPLICATION": "rails", "AUTO_MIGRATE_ON_DEPLOY": "true"}
    done = branch.review("good2", **more, SEED_ON_REVIEW="once")
    assert done.code == 0, done.output
    seen = app.hosts[0].root("cat", f"{branch.folder}/data/rails")
    assert "good2 rails db:prepare" in seen
    assert "good2 rails db:seed" in seen or "prepare" in seen
    app.checkout.commit("Next")
    assert branch.review("good3", **more, SEED_ON_REVIEW="once").code == 0
    seen = app.hosts[0].root("cat", f"{branch.folder}/data/rails")
    assert "good3 rails db:migrate" in seen


def test_docs_show_a_file_that_serves_the_app_and_its_review_apps(branch: Reviewed) -> None:
    """For Traefik and Caddy: names of its own, a host of its own, a database of its own."""
    app, host = branch.app, branch.app.hosts[0]
    section = (ROOT / "docs/compose.md").read_text().partition("\n## Review apps")[2]
    traefik, caddy = (each.partition("\n```")[0] for each in section.split("```yaml")[1:3])
    text = traefik.partition("\n")[2].replace("registry.example.com/acme/shop", app.registry.image)
    text = text.replace("postgres:17", f"{app.registry.image}:good1")
    host.root("docker", "network", "create", "proxy", check=False)
    for labels, own in (
        ("", f"traefik.http.routers.{branch.name}.rule=Host(`{branch.name}.review.example.com`)"),
        (caddy, f"caddy={branch.name}.review.example.com"),
    ):
        if labels:
            start, end = text.index("    labels:"), text.index("  db:")
            text = f"{text[:start]}{labels[labels.index('    labels:') :]}\n{text[end:]}"
        app.write(text)
        done = branch.review("good2", COMPOSE_STEADY_TIME="1")
        assert done.code == 0, done.output
        [made] = [e for e in branch.containers() if e["Name"] == f"/{branch.name}-app-1"]
        assert own in [f"{key}={value}" for key, value in made["Config"]["Labels"].items()]
        assert len(branch.containers()) == 2
        other = Reviewed(app, "other").run("plan", "review", tag="good2")
        assert other.code == 0, other.output


# --- kills ---

MOMENTS = {
    "review while it pulls": ("review", "pull*"),
    "review while it switches": ("review", '*" up -d"*'),
    "destroy before the containers go": ("destroy", 'rm" -fv"*'),
    "destroy before the volumes go": ("destroy", 'volume" rm"*'),
}


@pytest.mark.parametrize("moment", [*MOMENTS])
def test_killed_review_or_destroy_is_finished_by_the_next(branch: Reviewed, moment: str) -> None:
    """Whatever was killed: the next review runs the branch, the next destroy leaves nothing."""
    command, words = MOMENTS[moment]
    host = branch.app.hosts[0]
    if command == "destroy":
        assert branch.review("good2").code == 0
    host.hold(words)
    running = branch.start(command, tag="good2")
    host.held()
    running.signal(signal.SIGKILL)
    host.kill_runs("[r]unner-[0-9a-f]*.sh within")
    running.done()
    host.release()
    done = branch.review("good2") if command == "review" else branch.destroy()
    assert done.code == 0, done.output
    if command == "review":
        assert branch.current().startswith("good2-")
        assert len(branch.containers()) == 1
        assert branch.destroy().code == 0
    assert branch.left() == ""


def test_destroy_calls_a_review_off_that_goes_on(branch: Reviewed) -> None:
    """Both end, and nothing is left."""
    host = branch.app.hosts[0]
    host.hold("pull*")
    running = branch.start("review", tag="good2")
    host.held()
    removing = branch.start("destroy")
    host.until(f"ls {branch.state}/runs/*/word.back")
    host.release()
    assert removing.done(timeout=120).code == 0
    assert running.done(timeout=120).code != 0
    assert branch.left() == ""


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("command", "count"), KILLS)
def test_kills_at_random_moments_end_in_the_right_state(
    branch: Reviewed, command: str, count: int
) -> None:
    """The next review runs the branch, the next destroy leaves nothing; the base app runs on.

    Takes many minutes: each of the thirty is killed, and then done to its end."""
    branch.survives(command, count, random.Random(f"20261129 {command}"))
    branch.app.runs("good1")
