# shellcheck shell=sh
# logs LINES FOLLOW SERVICE…: print the services' last lines; with `follow` new ones, until stdin ends.
lines=$1 follow=$2
shift 2
follows=
for service in "$@"; do
    if [ "$follow" = follow ]; then
        docker service logs --follow --tail "$lines" "$service" 2>&1 &
        follows="$follows $!"
    else
        docker service logs --tail "$lines" "$service" 2>&1
    fi
done
[ -z "$follows" ] || {
    cat >/dev/null
    # shellcheck disable=SC2086
    kill $follows
}
