# shellcheck shell=sh
# Databases of the app: dumped before they are migrated, and brought back. The service's own programs
# do it inside its container (another version's could not), with the credentials that it has itself.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154

# What runs in the container. A variable NAME may be in a file that NAME_FILE names, as the images allow.
OF='of() { eval "value=\${$1:-}; file=\${$1_FILE:-}"; [ -z "$file" ] || value=$(cat "$file"); printf %s "$value"; }'
POSTGRES=$OF'
    user=$(of POSTGRES_USER) PGPASSWORD=$(of POSTGRES_PASSWORD) PGCONNECT_TIMEOUT=30
    : "${user:=postgres}"
    export PGPASSWORD PGCONNECT_TIMEOUT'
MYSQL=$OF'
    user=root MYSQL_PWD=$(of MYSQL_ROOT_PASSWORD) own=
    [ -n "$MYSQL_PWD" ] || MYSQL_PWD=$(of MARIADB_ROOT_PASSWORD)
    if [ -z "$MYSQL_PWD" ] && [ -z "${MYSQL_ALLOW_EMPTY_PASSWORD:-}${MARIADB_ALLOW_EMPTY_ROOT_PASSWORD:-}" ]; then
        user=$(of MYSQL_USER) MYSQL_PWD=$(of MYSQL_PASSWORD) own=$(of MYSQL_DATABASE)
        [ -n "$user" ] || user=$(of MARIADB_USER) MYSQL_PWD=$(of MARIADB_PASSWORD) own=$(of MARIADB_DATABASE)
    fi
    export MYSQL_PWD
    pick() { for each in "$@"; do command -v "$each" && return; done; }'
# All databases of the server, each to be dropped before: what a migration has added since goes too.
DUMP_POSTGRES=$POSTGRES'
    ask="select datname from pg_database where datallowconn and not datistemplate order by 1"
    names=$(psql -wXAtq -U "$user" -d template1 -c "$ask") || exit
    printf "%s\n" "$names" | while IFS= read -r name; do
        pg_dump -w -U "$user" --create --clean --if-exists -d "$name" || exit
    done'
DUMP_MYSQL=$MYSQL'
    if [ -n "$own" ]; then names=$own; else
        names=$("$(pick mariadb mysql)" -u "$user" -N -B -e "show databases" | grep -Evx "information_schema|performance_schema|mysql|sys") || exit
    fi
    exec "$(pick mariadb-dump mysqldump)" -u "$user" --single-transaction --quick --routines --triggers \
        --no-tablespaces --add-drop-database --databases $names'
LOAD_POSTGRES=$POSTGRES'
    end="select pg_terminate_backend(pid) from pg_stat_activity where datname is not null and pid <> pg_backend_pid()"
    psql -wXAtq -U "$user" -d template1 -c "$end" </dev/null >/dev/null 2>&1
    exec psql -wXq -v ON_ERROR_STOP=1 -o /dev/null -U "$user" -d template1'
LOAD_MYSQL=$MYSQL'
    exec "$(pick mariadb mysql)" -u "$user"'

# server_of SERVICE: the container of a database; the first that runs.
server_of() {
    found=$(containers '{{.ID}}' --filter status=running --filter "label=com.docker.compose.service=$1" | head -n 1)
    [ -n "$found" ] || { say "$1 is not running" && false; }
}

# dump SERVICE KIND NAME: into backups/NAME.sql.gz. Neither end of a pipe may fail unseen: the server's
# program has an exit code, gzip has one, and what is on the disk is read back to its last line.
dump() {
    to=$base/backups/$app/$3
    dump_whole "$1" "$2"
    dumped=$?
    rm -f "$to".*.part
    find "$base/backups/$app" -name '*.part' -mmin +1440 -exec rm -f {} + 2>/dev/null
    return "$dumped"
}

dump_whole() {
    svc=$1 kind=$2
    server_of "$svc" || return
    [ "$kind" != unknown ] || kind=$(docker exec "$found" sh -c 'if command -v pg_dump >/dev/null; then echo postgres; else echo mysql; fi')
    mkdir -p "$base/backups/$app" || return
    case $kind in postgres) script=$DUMP_POSTGRES ;; *) script=$DUMP_MYSQL ;; esac
    {
        docker exec "$found" sh -c "$script" 2>"$to.errors.part"
        echo $? >"$to.code.part"
    } | gzip -c >"$to.gz.part"
    zipped=$? code=$(cat "$to.code.part") said=$(grep . "$to.errors.part" | tail -n 1)
    [ "$code" = 0 ] || { say "the dump of $svc failed (exit code $code): $said" && return 1; }
    [ "$zipped" = 0 ] || { say "the dump of $svc could not be written: is the disk full?" && return 1; }
    gzip -dc "$to.gz.part" 2>/dev/null | LC_ALL=C sed -n '/^CREATE TABLE/p; /^-- .*[Dd]ump complete/p' |
        awk '/^CREATE/ { tables++; next } { end = 1 } END { print tables + 0, end + 0 }' >"$to.seen.part"
    read -r tables whole <"$to.seen.part"
    [ "$whole" = 1 ] || { say "the dump of $svc is not whole" && return 1; }
    [ "$tables" != 0 ] || { say "the dump of $svc is empty: there is no table in it" && return 1; }
    printf '%s\n' "$kind $svc $(current) $tables" >"$to.about" && mv "$to.gz.part" "$to.sql.gz" || return
    sync -f "$to.sql.gz" 2>/dev/null || :
}

# backup APP SERVICE KIND…: before migrations. A run that waits for the job's word in the meantime hears
# from here that there is one.
backup() {
    enter "$1"
    shift
    stay_in_touch &
    toucher=$!
    trap 'kill "$toucher" 2>/dev/null' EXIT
    while [ $# -gt 1 ]; do
        name=$(date -u +%Y%m%dT%H%M%SZ)-$1
        began=$(date +%s)
        dump "$1" "$2" "$name" || exit 1
        say "$name: $tables tables, $(wc -c <"$base/backups/$app/$name.sql.gz" | tr -d ' ') bytes, $(($(date +%s) - began)) s"
        forget_backups "$1" ''
        shift 2
    done
}

stay_in_touch() {
    exec >/dev/null 2>&1 </dev/null
    while kill -0 "$$"; do
        for each in "$home"/runs/*/beat; do [ ! -f "$each" ] || date +%s >"$each"; done
        sleep 5
    done
}

# forget_backups SERVICE NAME: all but the last five of it; NAME stays.
forget_backups() {
    for each in "$base/backups/$app"/*-"$1".about; do echo "${each%.about}"; done | sort -r | sed 1,5d |
        while IFS= read -r each; do
            [ "${each##*/}" = "$2" ] || rm -f "$each.sql.gz" "$each.about"
        done
}

# backups APP: `NAME BYTES KIND SERVICE RELEASE TABLES` of each.
backups() {
    enter "$1"
    for each in "$base/backups/$app"/*.about; do
        each=${each%.about}
        [ ! -f "$each.sql.gz" ] || echo "backup ${each##*/} $(wc -c <"$each.sql.gz" | tr -d ' ') $(cat "$each.about")"
    done
}

# restore APP NAME SECONDS: with the app stopped, under the lock; what is there now is dumped before. What
# was begun is written down: a run that was killed is finished by the next one, whatever that does. A lost
# connection is no reason to stop.
restore() {
    enter "$1"
    wait_for=$3
    trap '' PIPE HUP
    [ -f "$base/backups/$app/$2.sql.gz" ] || {
        say "there is no backup $2"
        exit 2
    }
    first=$(date +%s)
    exec 9>>"$home/lock" || exit 1
    until flock -n 9; do
        [ $(($(date +%s) - first)) -lt "$wait_for" ] || {
            say "held by $(holder)"
            exit 13
        }
        pause
    done
    [ ! -f "$home/pending" ] || {
        say "a deploy was left unfinished: deploy again first"
        exit 14
    }
    run=$(mktemp -d "$home/.in.XXXXXX") || exit 1
    trap 'rm -rf "$run"' EXIT
    # What an unfinished one has stopped has to start again; its dump is of the same database only
    # when it is the same restore.
    same=
    [ "$(head -n 1 "$home/restoring" 2>/dev/null)" != "$2" ] || same='|before'
    known=$(grep -E "^(stopped$same) " "$home/restoring" 2>/dev/null)
    put "$home/restoring" "$2${known:+
$known}" && finish_restore
}

# finish_restore: from the beginning, since each of its steps may be done twice.
finish_restore() {
    name=$(head -n 1 "$home/restoring") from_there=$base/backups/$app/$(head -n 1 "$home/restoring")
    read -r kind svc _ <"$from_there.about" && server_of "$svc" || return
    server=$found
    stop_app || return
    before=$(sed -n 's/^before //p' "$home/restoring")
    if [ -z "$before" ]; then
        before=$(date -u +%Y%m%dT%H%M%SZ)-$svc
        if dump "$svc" "$kind" "$before"; then say "what was there is in $before"; else before=-; fi
        echo "before $before" >>"$home/restoring"
    fi
    if fill "$from_there"; then
        restored=0
        say "$name is restored"
    else
        say "! $name could not be restored: $said"
        restored=1
        if [ "$before" = - ] || ! fill "$base/backups/$app/$before"; then
            say "! $svc is only partly restored, so the app stays stopped"
            return 1
        fi
        say "! what was there before ($before) is there again"
    fi
    start_app || restored=1
    [ "$restored" = 0 ] || say "${why:-$name could not be restored: $said}"
    rm -f "$home/restoring"
    forget_backups "$svc" "$name"
    return "$restored"
}

# fill FILE: the server's own program reads it; $said is its last complaint.
fill() {
    case $kind in postgres) script=$LOAD_POSTGRES ;; *) script=$LOAD_MYSQL ;; esac
    {
        gzip -dc "$1.sql.gz"
        echo $? >"$run/code"
    } | docker exec -i "$server" sh -c "$script" 2>"$run/errors" >/dev/null
    filled=$? said=$(grep . "$run/errors" | grep -v 'NOTICE' | tail -n 1)
    [ "$filled" = 0 ] && [ "$(cat "$run/code")" = 0 ]
}

# stop_app: all that runs of the project but databases; which, is written down before.
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

# start_app: the same containers, and see that they are well.
start_app() {
    ids=$(sed -n 's/^stopped //p' "$home/restoring" | sort -u)
    # shellcheck disable=SC2086  # words
    [ -z "$ids" ] || docker start $ids >/dev/null || { why="the app's containers cannot be started" && return 1; }
    made=$home/releases/$(current)/proven token=- going_back=1 among='' run_service='' url=''
    steady=2 health_timeout=0 limit=300
    [ -f "$made/images" ] || return 0
    verify || { why="the app is not well after it: $why" && return 1; }
}
