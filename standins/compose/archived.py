"""Archives of images, as the job before leaves them: built and saved by a real engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from standins.compose.app import App
from standins.dockerhosts import DockerHost
from standins.engine import docker

COMPOSE = """
services:
  app:
    image: {image}:${{DEPLOY_TAG}}
    network_mode: none
    stop_grace_period: 1s
    healthcheck: {{test: ["CMD", "test", "-f", "/ok"], interval: 300ms, retries: 9}}
"""
# A base, something big that no version changes, and what each version has of its own.
BUILD = """
set -e
cd $(mktemp -d)
head -c 9 /dev/urandom >only # so that no other image has this layer
cp /tmp/rootfs.tar base.tar && tar -r -f base.tar only
docker import -c 'ENV BEHAVES=good' base.tar {image}:base >/dev/null
head -c {big} /dev/urandom >big
for tag in {tags}; do
    {{ echo $tag; head -c {own} /dev/urandom; }} >own
    printf 'FROM {image}:base\\nCOPY big /big\\nENV VERSION=%s\\nCOPY own /own\\n' $tag >Dockerfile
    echo 'CMD ["/app"]' >>Dockerfile
    DOCKER_BUILDKIT=0 docker build -q -t {image}:$tag . >/dev/null 2>&1
done
for tag in {tags}; do docker save {image}:$tag -o /tmp/{name}-$tag.tar; done
for tag in {tags}; do docker rmi {image}:$tag >/dev/null; done
docker rmi {image}:base >/dev/null
docker image prune -f >/dev/null # the containerd image store keeps what was built in between
"""


def image_of(app: App) -> str:
    """The name of its image: nobody has a registry for it."""
    return f"acme/{app.name}"


def build(
    app: App, folder: Path, tags: Sequence[str], *, own: int = 0, big: int = 300_000
) -> dict[str, Path]:
    """An archive for each tag; they differ in their last layer, of `own` bytes."""
    host, image = app.hosts[0], image_of(app)
    script = BUILD.format(image=image, name=app.name, tags=" ".join(tags), own=own, big=big)
    host.root("sh", "-c", script)
    found = {}
    for tag in tags:
        found[tag] = folder / f"{tag}.tar"
        docker("cp", f"{host.container}:/tmp/{app.name}-{tag}.tar", str(found[tag]))
        host.root("rm", f"/tmp/{app.name}-{tag}.tar")
    return found


def images(app: App, host: DockerHost) -> set[str]:
    """The names of its images there."""
    listed = host.root("docker", "images", "--format", "{{.Repository}}:{{.Tag}}", image_of(app))
    return set(listed.split())


def given(archive: Path | str, **more: str) -> dict[str, str]:
    """The settings: no registry, no login."""
    none = {"DOCKER_REGISTRY": "", "DOCKER_USER": "", "DOCKER_PASS": ""}
    return {**none, "DEPLOY_IMAGE_ARCHIVE": str(archive), **more}
