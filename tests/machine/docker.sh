#!/bin/sh
# Make `docker info` work: the machine of our CI is an empty Debian without systemd.
# Whatever engine answers already (Docker Desktop, rootless, a remote DOCKER_HOST) is left alone.
set -eu
cd "$(dirname "$0")"
# shellcheck source=/dev/null
. ./lib.sh

if docker info >/dev/null 2>&1; then
    say "Docker answers already"
    exit 0
fi
[ -z "${DOCKER_HOST:-}" ] || fail "DOCKER_HOST is set to $DOCKER_HOST, which does not answer"
if [ -S /var/run/docker.sock ] && [ ! -w /var/run/docker.sock ]; then
    fail "you may not use this machine's Docker. Run this once and log in again:" \
        "sudo usermod -aG docker $(id -un)"
fi
as_root "no Docker Engine answers" "sh tests/machine/docker.sh"
packages docker.io ca-certificates procps

log=/var/log/dockerd.log started=
if ! pgrep -x dockerd >/dev/null; then
    # Pid files that outlived their machine name a stranger's process: dockerd would not start.
    rm -f /var/run/docker.pid /var/run/docker/containerd/containerd.pid
    # An own session: a CI job that ends its process group must not take the engine with it.
    setsid nohup /usr/sbin/dockerd >"$log" 2>&1 </dev/null &
    started=$! # not called dockerd before its third exec
fi
runs() { if [ -n "$started" ]; then kill -0 "$started" 2>/dev/null; else pgrep -x dockerd >/dev/null; fi; }

waited=0
until docker info >/dev/null 2>&1; do
    waited=$((waited + 1))
    if [ "$waited" -gt 120 ] || ! runs; then
        tail -n 20 "$log" >&2
        fail "dockerd did not start; the end of $log is above"
    fi
    sleep 0.5
done
say "started dockerd; its log is $log"
