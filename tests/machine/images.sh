#!/bin/sh
# Build the images that stand in for servers and helpers in the tests, from debian:trixie-slim
# alone: ci-deploy-test/{helper,openssh,docker-host,registry}; images/NAME/ says what each is for.
set -eu
cd "$(dirname "$0")"
# shellcheck source=/dev/null
. ./lib.sh

docker info >/dev/null 2>&1 || ./docker.sh
./base-image.sh

# The label says what an image was made of; asking for it is quicker than four cached builds.
inputs=$({
    docker image inspect -f '{{.Id}}' debian:trixie-slim
    find images -type f | LC_ALL=C sort | xargs cat
} | sha256sum | cut -c 1-16)

for name in helper openssh docker-host registry; do # docker-host builds on openssh
    image=ci-deploy-test/$name
    built=$(docker image inspect -f '{{index .Config.Labels "inputs"}}' "$image" 2>/dev/null) || built=
    if [ "$built" != "$inputs" ]; then
        ./docker-build.sh -q -t "$image" --label "inputs=$inputs" "images/$name" >/dev/null
        say "built $image"
    fi
done
say "ready"
