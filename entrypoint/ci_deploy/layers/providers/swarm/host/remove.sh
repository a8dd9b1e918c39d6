# shellcheck shell=sh
# remove FOLDER STACK SECONDS: remove the stack's services and networks. A `docker stack deploy` of a killed job
# may still run: waits for its end, and holds the lock so that none begins.
cd "${1:-$HOME}" && mkdir -p .ci-deploy || exit 96
read -r now _ </proc/uptime # monotonic
label=label=com.docker.stack.namespace=$2 until=$((${now%.*} + $3))
exec 8>>".ci-deploy/$2.apply"
flock -w "$3" 8 || { echo "a \`docker stack deploy\` of it is still running"; exit 1; }
left() {
    docker service ls --filter "$label" --format 'service {{.Name}}' || echo "(Docker does not answer)"
    docker network ls --filter "$label" --format 'network {{.Name}}' || echo "(Docker does not answer)"
}
while [ -n "$(left 2>/dev/null)" ]; do
    for kind in service network; do
        docker "$kind" ls -q --filter "$label" 2>/dev/null | while read -r each; do
            docker "$kind" rm "$each" >/dev/null 2>&1 && echo "removed the $kind $each"
        done
    done
    read -r now _ </proc/uptime
    [ "${now%.*}" -lt "$until" ] || { echo "still there: $(left | tr '\n' ' ')"; exit 1; }
    sleep 0.3
done
