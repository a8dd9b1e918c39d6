# shellcheck shell=sh
# Before a script that needs the registry: log in with $1 (registry) and $2 (user); the password is the first line
# of stdin. The login is in a temporary directory that is removed in any case.
umask 077
registry=$1 user=$2
shift 2
IFS= read -r password
if [ -n "$user" ]; then
    d=$(mktemp -d "${TMPDIR:-/tmp}/ci-deploy-login.XXXXXX") || exit 95
    trap 'rm -rf "$d"' EXIT
    trap 'exit 143' HUP INT TERM
    own=${DOCKER_CONFIG:-$HOME/.docker}/config.json
    [ ! -f "$own" ] || grep -q '"cred[sH]' "$own" || cp "$own" "$d/"
    export DOCKER_CONFIG="$d"
    # shellcheck disable=SC2086
    printf %s "$password" | docker login --username "$user" --password-stdin $registry >"$d/said" 2>&1 || {
        sed '/^WARNING/d; s/^/login /' "$d/said"
        exit 77
    }
fi
