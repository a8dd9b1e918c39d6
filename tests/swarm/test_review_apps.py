"""Review apps in a real swarm: a stack of its own for each branch, and nothing left of it."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Iterator

import pytest

from standins.dockerhosts import DockerHost
from standins.support import ROOT, run
from tests.compose.reviewed import KILLS
from tests.swarm.app import App
from tests.swarm.reviewed import ReviewedStack

DATE = "/usr/local/bin/date"  # before the host's own
SAYS = "#!/bin/sh\necho $(({0} + 7 * 86400))\n"


@pytest.fixture
def branch(app: App) -> Iterator[ReviewedStack]:
    """A branch whose compose file is another one than that of the base app."""
    proxy = f"{app.name}-proxy"
    app.docker("network", "create", "--driver", "overlay", "--attachable", proxy)
    app.write(ReviewedStack.file(app, proxy), words__txt="of the branch\n")
    made = ReviewedStack(app)
    yield made
    again = "for n in 1 2 3 4 5 6 7 8 9; do"
    stacks = f"docker stack ls --format '{{{{.Name}}}}' | grep '^{app.name}-'"
    volumes = f"docker volume ls -q | grep '^{app.name}-'"
    names = f"docker $k ls --format '{{{{.Name}}}}' | grep -F {app.name}-"
    script = (
        f"for s in $({stacks}); do docker stack rm $s; done; "
        f"for k in config secret; do docker $k rm $({names}); done; "
        f'{again} v=$({volumes}); [ -n "$v" ] || break; docker volume rm $v; sleep 1; done; '
        f"{again} docker network rm {proxy} && break; sleep 1; done"
    )
    app.hosts[0].root("sh", "-c", script, check=False)


def test_review_app_is_a_stack_of_its_own_from_the_branch_and_goes_without_a_trace(
    branch: ReviewedStack,
) -> None:
    """Its compose file, volumes, networks, configs, secrets, environment; the base app is not
    touched. Removed by a job without a checkout; twice is fine."""
    app, host = branch.app, branch.app.hosts[0]
    assert app.deploy("good1", DEPLOY_REVISION="HEAD~1").code == 0
    host.sh("echo PRODUCTION=secret >>.env")
    base = app.service()["Version"]
    planned = branch.run("plan", "review", tag="good4")
    assert planned.code == 0, planned.output
    assert branch.left() == "", "plan makes nothing"
    done = branch.review("good4")
    assert done.code == 0, done.output
    assert branch.tags() == ["good4"]
    spec = json.loads(app.docker("service", "inspect", f"{branch.name}_web"))[0]["Spec"]
    container = spec["TaskTemplate"]["ContainerSpec"]
    env = dict(line.split("=", 1) for line in container["Env"])
    address = f"{branch.name}.review.example.com"
    assert env == {"SEEN_HOST": address, "SEEN_URL": f"https://{address}", "STAGE": "review"}
    assert [each["Source"] for each in container["Mounts"]] == [f"{branch.name}_log"]
    assert branch.of("network") == [f"{branch.name}_default"]
    [content] = [each["ConfigName"] for each in container["Configs"]]
    assert app.docker("config", "inspect", "--pretty", content).endswith("of the branch\n\n")
    assert spec["Labels"]["com.ci-deploy.review"] == app.name
    [volume] = json.loads(app.docker("volume", "inspect", f"{branch.name}_log"))
    assert volume["Labels"]["com.ci-deploy.review"] == app.name
    assert done.report["url"] == f"https://{address}"
    assert branch.review("good4").report["status"] == "skipped"

    other = ReviewedStack(app, "other")
    assert other.review("good4").code == 0
    done = branch.destroy()
    assert done.code == 0, done.output
    assert f"no volume of it on {host.address}" in " ".join(done.output.split())
    assert branch.left() == ""
    assert branch.of("container") == []
    assert other.tags() == ["good4"]
    again = branch.destroy()
    assert again.code == 0, again.output
    assert "does not exist: nothing to remove" in again.output
    assert app.service()["Version"] == base
    assert app.tags() == ["good1"]
    host.sh("rm .env")


def test_what_two_stacks_cannot_share_is_refused_all_at_once_before_anything_is_made(
    branch: ReviewedStack,
) -> None:
    """Ports, what leads to the base app's data or takes over its visitors; `plan` too."""
    app = branch.app
    shared, secret, image = f"{app.name}-shared", f"{app.name}-url", f"{app.registry.image}:good1"
    host = app.hosts[0]
    host.root("docker", "network", "create", "--driver", "overlay", "--attachable", shared)
    host.root("sh", "-c", f"echo postgres://x | docker secret create {secret} -")
    stack = f"com.docker.stack.namespace={app.name}"
    app.docker(
        "service", "create", "--detach", "--name", f"{app.name}_db", "--label", stack,
        "--label", f"traefik.http.routers.{app.name}.rule=Host(`a`)", "--network", shared,
        "--secret", secret, "--endpoint-mode", "dnsrr", "--constraint", "node.labels.no==such",
        "--mount", f"type=bind,source=/srv/{app.name},target=/x",
        "--env", "DATABASE_URL=postgres://shop@db.example.com/shop",
        "example.com/postgres:17",
    )  # fmt: skip
    app.write(
        f"""
services:
  app:
    image: {image}
    ports: ["8080:80"]
    container_name: shop
    volumes: ["./data:/data", "/srv/{app.name}:/db", "old:/old", "named:/named"]
    deploy: {{labels: ["traefik.http.routers.{app.name}.rule=Host(`${{REVIEW_HOST}}`)"]}}
    networks: [shared]
    secrets: [url, file]
volumes: {{old: {{external: true, name: x}}, named: {{name: shop-data}}}}
networks: {{shared: {{external: true, name: {shared}}}}}
secrets: {{url: {{external: true, name: {secret}}}, file: {{file: ./of-production}}}}
"""
    )
    host.sh("echo secret >of-production")
    try:
        done = branch.run("plan", "review", tag="good2", REVIEW_DOMAIN="")
        assert done.code == 2, done.output
        said = " ".join(done.output.split())
        for words in (
            "app publishes the port 8080",
            "mounts /home/deploy/data, which is in or above the base app's DEPLOY_PATH",
            f"mounts /srv/{app.name}, which containers of other projects mount too",
            "the volume `x` is external",
            "`name` shop-data",
            f"the database {app.name}_db is on the external network `{shared}`",
            f"`traefik.http.routers.{app.name}.rule` of app belongs to another project too",
            f"the secret `{secret}` is external, and {app.name}_db uses it too",
            "of-production`, is not in the repository",
            "REVIEW_DOMAIN: not set, but the compose file uses ${REVIEW_HOST}",
        ):
            assert words in said, words
        assert "has the `container_name`" not in said, "Swarm ignores it"
        app.write(app.file("web"))
        theirs = "DATABASE_URL=postgres://me:pa$$word@db.example.com:5432/shop?sslmode=require"
        done = branch.review("good2", REVIEW_CONFIG=theirs)
        assert done.code == 14, done.output
        assert f"same service as DATABASE_URL of {app.name}" in " ".join(done.output.split())
        assert "pa$$word" not in done.output
        assert branch.left() == ""
    finally:
        script = f"rm -f ~deploy/of-production; docker service rm {app.name}_db; sleep 1; "
        script += f"docker secret rm {secret}; docker network rm {shared}"
        host.root("sh", "-c", script, check=False)


def test_only_what_is_marked_is_touched(branch: ReviewedStack) -> None:
    """A stack of somebody else by that name is refused; `--adopt` is for one that is."""
    app = branch.app
    label = f"com.docker.stack.namespace={branch.name}"
    words = ["--endpoint-mode", "dnsrr", "--constraint", "node.labels.no==such"]
    made = ["service", "create", "--detach", "--name", f"{branch.name}_app", "--label", label]
    app.docker(*made, *words, f"{app.registry.image}:good1")
    for command in ("review", "destroy"):
        done = branch.run(command)
        assert done.code == 14, done.output
        assert "ci-deploy did not create it as a review app" in " ".join(done.output.split())
    assert branch.of("service") == [f"{branch.name}_app"]
    done = branch.run("destroy", "--adopt", "--yes")
    assert done.code == 0, done.output
    assert branch.left() == ""


def test_stale_ones_and_those_beyond_the_limit_are_listed_and_only_removed_when_told(
    branch: ReviewedStack, request: pytest.FixtureRequest
) -> None:
    """REVIEW_LIMIT says which to remove. The age is by the swarm's clock, whatever a runner
    has written into its records: here a time in the future."""
    app = branch.app
    old = ReviewedStack(app, "old")
    labels = {"stack": old.name, "kind": "review", "review": app.name, "branch": "old"}
    labels |= {"app": old.name, "at": "2099-01-01T00:00:00Z"}
    words = [
        w for key, value in labels.items() for w in ("--label", f"com.ci-deploy.{key}={value}")
    ]
    create = ["docker", "config", "create", *words, f"ci-deploy.{old.name}.review", "-"]
    app.hosts[0].root(*create, stdin="-")  # all that a killed run has left of it
    done = branch.review("good2", REVIEW_LIMIT="1")
    assert done.code == 14, done.output
    said = " ".join(done.output.split())
    assert f"{app.name} has 1 review app on the swarm already (REVIEW_LIMIT=1)" in said
    assert f"{old.name} (old, deployed " in said
    assert branch.left() == ""
    assert branch.review("good2", REVIEW_LIMIT="2").code == 0
    assert branch.review("good2", REVIEW_LIMIT="1").report["status"] == "skipped"
    settings = app.settings()
    created = f"ci-deploy.{old.name}.review"
    between = int(app.docker("config", "inspect", "-f", "{{.CreatedAt.Unix}}", created)) + 1
    app.hosts[0].root("sh", "-c", f"cat >{DATE}; chmod 755 {DATE}", stdin=SAYS.format(between))
    request.addfinalizer(lambda: app.hosts[0].root("rm", "-f", DATE))
    listed = run("ci-deploy", "destroy", "--stale", "7", cwd=app.checkout.path, env=settings)
    assert listed.code == 0, listed.output
    assert old.name in listed.output
    assert branch.name not in listed.output
    assert old.left()
    words = ["destroy", "--stale", "7", "--yes"]
    done = run("ci-deploy", *words, cwd=app.checkout.path, env=settings)
    assert done.code == 0, done.output
    assert old.left() == ""
    assert branch.tags() == ["good2"]


def test_commands_before_traffic_run_in_the_review_app(branch: ReviewedStack) -> None:
    """Migrations and seeds: in its own stack, with its own volume."""
    app = branch.app
    text = ReviewedStack.file(app, f"{app.name}-proxy").replace("log:/log", "log:/data")
    app.write(text)
    app.checkout.commit(
        "Rails", {"Gemfile.lock": "GEM\n  specs:\n    rails (8.0.0)\n", "bin/rails": "x\n"}
    )
    more = {"DEPLOY_APPLICATION": "rails", "AUTO_MIGRATE_ON_DEPLOY": "true"}
    more |= {"COMPOSE_RUN_SERVICE": "web", "SEED_ON_REVIEW": "once"}
    done = branch.review("good2", **more)
    assert done.code == 0, done.output
    app.checkout.commit("Next")
    done = branch.review("good3", **more)
    assert done.code == 0, done.output
    newest, *_ = app.docker("ps", "-q", "--filter", f"name={branch.name}_web").split()
    seen = app.docker("exec", newest, "cat", "/data/rails")
    assert "good2 rails db:prepare" in seen
    assert "good3 rails db:migrate" in seen
    assert branch.destroy().code == 0
    assert branch.left() == ""


def test_docs_show_a_file_that_serves_the_app_and_its_review_apps(branch: ReviewedStack) -> None:
    """With a router of its own, and the host name of the branch."""
    app = branch.app
    section = (ROOT / "docs/swarm.md").read_text().partition("\n## Review apps")[2]
    text = section.split("```yaml")[1].partition("\n```")[0].partition("\n")[2]
    text = text.replace("registry.example.com/acme/shop", app.registry.image)
    named = f"    external: true\n    name: {app.name}-proxy"
    app.write(text.replace("    external: true", named))
    done = branch.run("plan", "review", tag="good2")
    assert done.code == 0, done.output
    assert "create app, db; verify" in done.output


def test_volumes_are_removed_on_each_node_that_is_named_and_the_others_are_told(
    branch: ReviewedStack, worker: DockerHost
) -> None:
    """Never more than was seen: a node that SERVER_HOST does not name may have one still, and one
    that it names and that cannot be asked is no success."""
    app = branch.app
    place = "placement: {constraints: [node.role == worker]}"
    text = ReviewedStack.file(app, f"{app.name}-proxy")
    app.write(text.replace("endpoint_mode", f"{place}\n      endpoint_mode"))
    done = branch.review("good2")
    assert done.code == 0, done.output
    assert "SERVER_HOST names: 1 of 2" in " ".join(done.output.split())
    assert branch.of("volume", worker) == [f"{branch.name}_log"]
    both = f"{app.hosts[0].address} {worker.address}"
    worker.fault('case "$*" in "volume rm"*) exit 1;; esac')
    done = branch.destroy(SERVER_HOST=both)
    assert done.code == 20, done.output
    assert f"could not be removed from {worker.address}" in " ".join(done.output.split())
    assert branch.kept(), "the mark stays"
    worker.fault("")
    done = branch.destroy(SERVER_HOST=both)
    assert done.code == 0, done.output
    assert "may be left" not in done.output
    assert branch.of("volume", worker) == []
    assert branch.left() == ""
    assert branch.review("good2").code == 0
    done = branch.destroy()
    assert done.code == 0, done.output
    said = " ".join(done.output.split())
    assert f"volumes of {branch.name} may be left on host2" in said
    left = branch.of("volume", worker)
    assert left == [f"{branch.name}_log"], "so that is true"
    worker.until(f"docker volume rm {left[0]}")


# --- kills ---

MOMENTS = {
    "review before the engine is told": ("review", '*"stack deploy"*-c*'),
    "destroy before the volumes go": ("destroy", '"volume rm"*'),
    "destroy before the configs go": ("destroy", '"config rm"*'),
}


@pytest.mark.parametrize("moment", [*MOMENTS])
def test_killed_review_or_destroy_is_finished_by_the_next(
    branch: ReviewedStack, moment: str
) -> None:
    """Whatever was killed: the next review runs the branch, the next destroy leaves nothing, also
    where a `docker stack deploy` of the killed job still goes on."""
    command, words = MOMENTS[moment]
    host = branch.app.hosts[0]
    if command == "destroy":
        assert branch.review("good2").code == 0
    host.hold(words)
    running = branch.start(command, tag="good2")
    host.held()
    running.signal(signal.SIGKILL)
    running.done()
    if command == "review":
        host.root("sh", "-c", ": >/tmp/fault")
        removing = branch.start("destroy", tag="good2")
        host.until("pgrep -f '[f]lock -w 120 8'", 240)
        host.release()
        assert removing.done(timeout=300).code == 0
        assert branch.left() == ""
        assert branch.review("good2").code == 0
        assert branch.tags() == ["good2"]
    else:
        host.kill_runs()
        host.release()
    assert branch.destroy().code == 0
    assert branch.left() == ""


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("command", "count"), KILLS)
def test_kills_at_random_moments_end_in_the_right_state(
    branch: ReviewedStack, command: str, count: int
) -> None:
    """The next review runs the branch, the next destroy leaves nothing.

    Takes many minutes: each of the thirty is killed, and then done to its end."""
    branch.survives(command, count, random.Random(f"20261130 {command}"))
