# shellcheck shell=sh
# follow SERVICE: print a job's output until it has ended, exit with its exit code, and remove it. A task that a node
# rejects has not run (the registry or the network was busy), so it is tried three times more.
umask 077
service=$1 at=0 said='' tries=0 refused=''
d=$(mktemp -d "${TMPDIR:-/tmp}/ci-deploy-job.XXXXXX") || exit 95
trap 'kill "$logs" 2>/dev/null; rm -rf "$d"' EXIT
trap 'exit 143' HUP INT TERM
show() {
    size=$(wc -c <"$1")
    [ "$size" -le "$at" ] || tail -c "+$((at + 1))" "$1" | head -c "$((size - at))"
    [ "$size" -le "$at" ] || at=$size
}
docker service logs --raw --follow "$service" >"$d/shown" 2>&1 &
logs=$!
while :; do
    task=$(docker service ps -q --no-trunc "$service" | head -n 1)
    state='' code='' error=''
    [ -z "$task" ] || IFS='|' read -r state code error <<END
$(docker inspect --type task --format '{{.Status.State}}|{{with .Status.ContainerStatus}}{{.ExitCode}}{{end}}|{{.Status.Err}}' "$task")
END
    show "$d/shown"
    case $state in
    complete | failed | orphaned | remove | shutdown) break ;;
    rejected)
        if [ "$task" != "$refused" ]; then
            tries=$((tries + 1)) refused=$task
            [ "$tries" -le 3 ] || break
            echo "the node rejected the task: $error; trying again" && sleep "$tries"
            docker service update --force --detach "$service" >/dev/null 2>&1 || break
        fi
        error=
        ;;
    esac
    [ -z "$error" ] || [ "$error" = "$said" ] || { said=$error && echo "waiting: $error"; }
    sleep 0.5
done
kill "$logs" 2>/dev/null
docker service logs --raw "$service" >"$d/all" 2>&1
show "$d/all"
[ "$state" = complete ] || [ "${code:-0}" != 0 ] || echo "$error"
docker service rm "$service" >/dev/null
[ "$state" != complete ] || exit 0
[ "${code:-0}" != 0 ] || code=125
exit "$code"
