
# logs APP LINES FOLLOW SERVICE: print its containers' last lines; with `follow`, new ones until stdin ends.
logs() {
    enter "$1"
    lines=$2 follow=$3
    set -- ${4:+"$4"}
    if [ "$follow" != follow ]; then
        exec docker compose -p "$project" logs --no-color --timestamps --tail "$lines" "$@"
    fi
    exec 6<&0 # what is in the background would read nothing
    docker compose -p "$project" logs --no-color --timestamps --tail "$lines" --follow "$@" &
    child=$!
    {
        cat <&6
        kill "$child"
    } >/dev/null 2>&1 & # else the session would stay open for it
    wait "$child"
    code=$?
    kill "$!" 2>/dev/null
    exit "$code"
}
