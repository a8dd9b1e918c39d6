# shellcheck shell=sh
# back REGISTRY USER STACK NAME LABEL…: the password and a stack file on stdin. A cancelled job has no
# time: this goes on behind its back, with a login of its own.
umask 077
registry=$1 user=$2 stack=$3 name=$4
shift 4
d=$(mktemp -d "${TMPDIR:-/tmp}/ci-deploy-back.XXXXXX") || exit 95
IFS= read -r password
cat >"$d/stack.json"
for label in "$@"; do
    set -- "$@" --label "$label"
    shift
done
(
    trap 'rm -rf "$d"' EXIT
    if [ -n "$user" ]; then
        export DOCKER_CONFIG="$d"
        # shellcheck disable=SC2086
        printf %s "$password" | docker login --username "$user" --password-stdin $registry
    fi
    docker stack deploy --with-registry-auth --resolve-image never -c "$d/stack.json" "$stack"
    echo '{}' | docker config create "$@" "$name" -
) </dev/null >/dev/null 2>&1 &
