"""More than one node: which host is asked, and tasks that run elsewhere."""

from __future__ import annotations

from standins.dockerhosts import DockerHost
from tests.swarm.app import App


def test_the_first_manager_is_used_and_tasks_on_other_nodes_count(
    app: App, worker: DockerHost
) -> None:
    """A worker cannot deploy; images and contents reach it, and its last words reach us."""
    both = f"{worker.address} {app.hosts[0].address}"
    refused = app.deploy(SERVER_HOST=worker.address)
    assert refused.code == 2, refused.output
    assert "is a worker of the swarm" in refused.output
    place = "placement: {constraints: [node.role == worker]}"
    app.write(app.file().replace("endpoint_mode", f"{place}\n      endpoint_mode"))
    done = app.deploy(SERVER_HOST=both)
    assert done.code == 0, done.output
    assert "using another manager" in done.output
    running = worker.root("docker", "ps", "-q", "-f", f"name={app.name}_app").split()
    assert len(running) == 1
    app.checkout.commit("Next")
    crashed = app.deploy("crash1")
    assert crashed.code == 23, crashed.output
    assert "cannot find the meaning" in crashed.output
    assert "non-zero exit (3) on host2" in crashed.output
    ran = app.run("run", "--", "sh", "-c", "hostname >/dev/null; echo there; exit 5")
    assert ran.code == 5, ran.output
    assert ran.output.splitlines()[-1] == "there"
