# shellcheck shell=sh
# Databases of the app: dumped before migrations, and restored while the app is stopped (databases.sh).
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154

# server_of SERVICE: set $found to the first running container of a database service.
server_of() {
    found=$(containers '{{.ID}}' --filter status=running --filter "label=com.docker.compose.service=$1" | head -n 1)
    [ -n "$found" ] || { say "$1 is not running" && false; }
}

# backup APP SERVICE KIND…: dump databases before migrations. Meanwhile a run that waits for the job gets its
# signs of life from here.
backup() {
    enter "$1"
    shift
    stay_in_touch &
    toucher=$!
    trap 'kill "$toucher" 2>/dev/null' EXIT
    while [ $# -gt 1 ]; do
        back_up "$1" "$2" || exit 1
        shift 2
    done
}

stay_in_touch() {
    exec >/dev/null 2>&1 </dev/null
    while kill -0 "$$"; do
        for each in "$home"/runs/*/beat; do [ ! -f "$each" ] || beat "$each"; done
        sleep 5
    done
}

# backups APP: list the dumps.
backups() {
    enter "$1"
    list_backups
}

# restore APP NAME SECONDS: restore a dump with the app stopped, under the lock; the present data is dumped
# before. The file `restoring` records what was begun, and the next run of any kind finishes it. A lost
# connection does not stop it.
restore() {
    enter "$1"
    wait_for=$3
    trap '' PIPE HUP
    [ -f "$base/backups/$app/$2.sql.gz" ] || {
        say "there is no backup $2"
        exit 2
    }
    clock
    first=$clock
    exec 9>>"$home/lock" || exit 1
    until flock -n 9; do
        waited "$first"
        [ "$waited" -lt "$wait_for" ] || {
            say "the lock is held by $(holder)"
            exit 13
        }
        beat "$home/queue"
        pause
    done
    [ ! -f "$home/pending" ] || {
        say "a deploy or rollback was left unfinished: deploy first"
        exit 14
    }
    run=$(mktemp -d "$home/.in.XXXXXX") || exit 1
    trap 'rm -rf "$run"' EXIT
    # What an unfinished one has stopped has to start again.
    known=$(known_before "$home/restoring" "$2")
    put "$home/restoring" "$2${known:+
$known}" && finish_restore
}

# finish_restore: do the restore from the beginning, since each of its steps may be repeated.
finish_restore() {
    name=$(head -n 1 "$home/restoring")
    read -r kind svc _ <"$base/backups/$app/$name.about" && server_of "$svc" || return
    server=$found
    stop_app || return
    bring_back "$home/restoring"
    restored=$?
    [ "$restored" != 2 ] || return 1
    start_app || restored=1
    [ "$restored" = 0 ] || say "${why:-$failed}"
    rm -f "$home/restoring"
    forget_backups "$svc" "$name"
    return "$restored"
}

# stop_app: stop the project's running containers except databases; they are recorded first.
stop_app() {
    containers '{{.ID}} {{.Label "com.docker.compose.service"}}' --filter status=running |
        while read -r id each; do
            image=$(docker inspect -f '{{.Config.Image}}' "$id")
            case ${image##*/} in
            postg* | mysql* | mariadb* | percona* | redis* | valkey* | rabbitmq* | mongo*) ;;
            *) [ "$each" = "$svc" ] || echo "stopped $id" ;;
            esac
        done >"$run/stopped" && cat "$run/stopped" >>"$home/restoring" || return
    ids=$(sed -n 's/^stopped //p' "$home/restoring" | sort -u)
    # shellcheck disable=SC2086  # words
    [ -z "$ids" ] || docker stop $ids >/dev/null
}

# start_app: start the containers again that `stop_app` has stopped, and verify them.
start_app() {
    ids=$(sed -n 's/^stopped //p' "$home/restoring" | sort -u)
    # shellcheck disable=SC2086  # words
    [ -z "$ids" ] || docker start $ids >/dev/null || { why="the app's containers cannot be started" && return 1; }
    made=$home/releases/$(current)/proven token=- going_back=1 among='' run_service='' url=''
    steady=2 health_timeout=0 limit=300
    [ -f "$made/images" ] || return 0
    verify || { why="the app is not healthy after the restore: $why" && return 1; }
}
