#!/bin/sh
# Put the runners and clients that the tests call into .tools/bin of the repository, in pinned
# versions: gitlab-ci-local (with a Node of its own), act, actionlint, Compose v2, the Heroku CLI.
# Nothing else is touched, except that Debian gives what has to be on the machine: rsync for
# gitlab-ci-local, Ruby to run the line that quiets Sidekiq, OpenSSH's server for the stand-ins,
# strace to see whom a deploy speaks to.
set -eu
cd "$(dirname "$0")"
# shellcheck source=/dev/null
. ./lib.sh

here=$PWD
mkdir -p ../../.tools/bin
cd ../../.tools
bin=$PWD/bin

# What cannot be installed is named; our own CI must have everything, a visitor need not.
skipped=0
skip() {
    say "SKIPPED: $*" >&2
    skipped=1
}

command -v rsync >/dev/null || packages rsync
PATH=$PATH:/usr/sbin:/usr/local/sbin command -v sshd >/dev/null || packages openssh-server
command -v ruby >/dev/null || packages ruby
command -v strace >/dev/null || packages strace

# The copied lock file is the mark of a finished installation, so it is copied last.
if cmp -s "$here/npm/package-lock.json" npm/installed.json; then
    :
elif command -v npm >/dev/null; then
    mkdir -p npm
    cp "$here/npm/package.json" "$here/npm/package-lock.json" "$here/npm/.npmrc" npm/
    (cd npm && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null)
    # Its Node (it needs 22 or newer) comes first for this program only, not for the tests.
    cat >bin/gitlab-ci-local <<'SH'
#!/bin/sh
npm=$(dirname "$0")/../npm/node_modules/.bin
PATH=$npm:$PATH exec "$npm/gitlab-ci-local" "$@"
SH
    chmod +x bin/gitlab-ci-local
    cp "$here/npm/package-lock.json" npm/installed.json
    say "installed gitlab-ci-local $(bin/gitlab-ci-local --version)"
else
    skip "gitlab-ci-local: there is no npm (install Node.js)"
fi

# The CLI of our image, by the same lock file; it needs Node 20, which npm cannot do without either.
ours=$here/../../requirements/heroku
if cmp -s "$ours/package-lock.json" heroku/installed.json; then
    :
elif command -v npm >/dev/null; then
    mkdir -p heroku
    cp "$ours/package.json" "$ours/package-lock.json" "$ours/.npmrc" heroku/
    (cd heroku && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null)
    ln -sf ../heroku/node_modules/.bin/heroku bin/heroku
    cp "$ours/package-lock.json" heroku/installed.json
    say "installed $(HOME=$PWD/heroku DISABLE_TELEMETRY=true bin/heroku --version 2>/dev/null)"
else
    skip "heroku: there is no npm (install Node.js 20 or newer)"
fi

# build NAME VERSION MODULE: a Go program, unless it is there in that version.
build() {
    if "bin/$1" --version 2>/dev/null | head -n 1 | grep -Eq "(^|[ v])$2\$"; then
        :
    elif command -v go >/dev/null; then
        log=$(mktemp)
        CGO_ENABLED=0 GOBIN=$bin GOFLAGS=-trimpath go install "$3@v$2" >"$log" 2>&1 ||
            { cat "$log" >&2 && fail "$1 could not be built"; }
        rm -f "$log"
        say "built $1 $2"
    else
        skip "$1: there is no Go"
    fi
}
build act 0.2.89 github.com/nektos/act
build actionlint 1.7.12 github.com/rhysd/actionlint/cmd/actionlint

# The machine's own Compose v2, or else Debian's: the binary of trixie runs on older Debians too.
if bin/docker-compose version >/dev/null 2>&1; then
    :
elif docker compose version >/dev/null 2>&1; then
    printf '#!/bin/sh\nexec docker compose "$@"\n' >bin/docker-compose
    chmod +x bin/docker-compose
elif (cd "$here" && ./docker.sh && ./base-image.sh); then
    docker run --rm debian:trixie-slim sh -ec '
        cd /tmp
        apt-get update -qq && apt-get download -qq docker-compose
        dpkg-deb -x docker-compose*.deb .
        cat usr/libexec/docker/cli-plugins/docker-compose' >bin/docker-compose
    chmod +x bin/docker-compose
    say "took $(bin/docker-compose version) from Debian"
else
    skip "docker-compose: there is no Docker Engine"
fi

# Buildx for the dry run of a release. In a directory of its own (DOCKER_CONFIG): `docker build`
# stays what it is on this machine.
plugin=docker/cli-plugins/docker-buildx
if DOCKER_CONFIG=$PWD/docker docker buildx version >/dev/null 2>&1; then
    :
elif (cd "$here" && ./docker.sh && ./base-image.sh); then
    mkdir -p "${plugin%/*}"
    docker run --rm debian:trixie-slim sh -ec '
        cd /tmp
        apt-get update -qq && apt-get download -qq docker-buildx
        dpkg-deb -x docker-buildx*.deb .
        cat usr/libexec/docker/cli-plugins/docker-buildx' >$plugin
    chmod +x $plugin
    say "took Buildx from Debian"
else
    skip "docker-buildx: there is no Docker Engine"
fi

[ "$skipped" -eq 0 ] || [ "${CI:-}" != true ] || fail "in CI nothing may be missing"
say "ready: .tools/bin"
