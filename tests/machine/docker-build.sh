#!/bin/sh
# `docker build` with BuildKit, whichever client this machine has: a newer one without its buildx
# plugin cannot build at all, while Debian 12's own (20.10) can do it alone.
set -eu
if docker buildx version >/dev/null 2>&1; then
    exec docker build "$@"
fi
DOCKER_BUILDKIT=1 exec /usr/bin/docker build "$@"
