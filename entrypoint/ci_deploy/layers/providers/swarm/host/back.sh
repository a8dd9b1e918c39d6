# shellcheck shell=sh
# back FOLDER STACK REGISTRY USER NAME LABEL…: roll back to the stack file on stdin, after the password. A
# cancelled job has no time, so this continues without it, with a separate login, once the job's
# `docker stack deploy` has ended; unless another run has begun in the meantime.
umask 077
cd "${1:-$HOME}" && mkdir -p .ci-deploy || exit 96
stack=$2 registry=$3 user=$4 name=$5
shift 5
exec 8>>".ci-deploy/$stack.apply"
d=$(mktemp -d "${TMPDIR:-/tmp}/ci-deploy-back.XXXXXX") || exit 95
IFS= read -r password
cat >"$d/stack.json"
for label in "$@"; do
    set -- "$@" --label "$label"
    shift
done
# By the index that the swarm gives to each config, since clocks may be wrong.
newest() {
    docker config ls -q --filter "label=com.ci-deploy.stack=$stack" |
        xargs -r docker config inspect --format '{{.Version.Index}} {{index .Spec.Labels "com.ci-deploy.kind"}} {{.Spec.Name}}' |
        grep -E '^[0-9]+ (record|restore) ' | sort -n | tail -n 1
}
(
    trap 'rm -rf "$d"' EXIT
    flock -w 240 8 || exit
    case $(newest) in *" ${name%.end}") ;; *) exit ;; esac
    if [ -n "$user" ]; then
        export DOCKER_CONFIG="$d"
        # shellcheck disable=SC2086
        printf %s "$password" | docker login --username "$user" --password-stdin $registry
    fi
    docker stack deploy --with-registry-auth --resolve-image never -c "$d/stack.json" "$stack"
    echo '{}' | docker config create "$@" "$name" -
) </dev/null >/dev/null 2>&1 &
