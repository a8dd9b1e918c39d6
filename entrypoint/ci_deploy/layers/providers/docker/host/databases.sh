# shellcheck shell=sh
# Databases in containers: dumps and restores them with the service's own programs, inside its container
# (programs of another version might fail), with the credentials in its environment. The caller defines
# `server_of SERVICE`, which sets $found to the container, `current` and `say`; $base/backups/$app has the dumps.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154

# These scripts run in the container. The value of a variable NAME may be in a file that NAME_FILE names, as
# the images allow.
OF='of() { eval "value=\${$1:-}; file=\${$1_FILE:-}"; [ -z "$file" ] || value=$(cat "$file"); printf %s "$value"; }'
POSTGRES=$OF'
    user=$(of POSTGRES_USER) PGPASSWORD=$(of POSTGRES_PASSWORD) PGCONNECT_TIMEOUT=30
    # Images of Bitnami have other variables, and always need a password.
    if [ -z "$PGPASSWORD" ] && PGPASSWORD=$(of POSTGRESQL_POSTGRES_PASSWORD) && [ -n "$PGPASSWORD" ]; then
        user=postgres
    elif [ -z "$PGPASSWORD" ] && PGPASSWORD=$(of POSTGRESQL_PASSWORD) && [ -n "$PGPASSWORD" ]; then
        user=$(of POSTGRESQL_USERNAME)
    fi
    : "${user:=postgres}"
    export PGPASSWORD PGCONNECT_TIMEOUT'
MYSQL=$OF'
    user=root MYSQL_PWD=$(of MYSQL_ROOT_PASSWORD) own=
    [ -n "$MYSQL_PWD" ] || MYSQL_PWD=$(of MARIADB_ROOT_PASSWORD)
    empty=${MYSQL_ALLOW_EMPTY_PASSWORD:-}${MARIADB_ALLOW_EMPTY_ROOT_PASSWORD:-}${ALLOW_EMPTY_PASSWORD:-}
    if [ -z "$MYSQL_PWD$empty" ]; then
        user=$(of MYSQL_USER) MYSQL_PWD=$(of MYSQL_PASSWORD) own=$(of MYSQL_DATABASE)
        [ -n "$user" ] || user=$(of MARIADB_USER) MYSQL_PWD=$(of MARIADB_PASSWORD) own=$(of MARIADB_DATABASE)
    fi
    export MYSQL_PWD
    pick() { for each in "$@"; do command -v "$each" && return; done; }'
# All databases that this user may drop and create; the restore does so, and thereby removes what a migration
# has added.
DUMP_POSTGRES=$POSTGRES'
    ask="select datname from pg_database where datallowconn and not datistemplate"
    ask="$ask and pg_has_role(datdba, \$\$USAGE\$\$) order by 1"
    names=$(psql -wXAtq -U "$user" -d template1 -c "$ask") || exit
    of_its_own="select 1 from pg_extension where extname = \$\$timescaledb\$\$"
    printf "%s\n" "$names" | while IFS= read -r name; do
        if [ -n "$(psql -wXAtq -U "$user" -d "$name" -c "$of_its_own" </dev/null)" ]; then
            echo "$name has TimescaleDB, which needs a different restore: dump it in PRE_DEPLOY_COMMAND" >&2
            exit 3
        fi
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
    end="$end and pg_has_role(usesysid, \$\$USAGE\$\$)"
    psql -wXAtq -U "$user" -d template1 -c "$end" </dev/null >/dev/null 2>&1
    exec psql -wXq -v ON_ERROR_STOP=1 -o /dev/null -U "$user" -d template1'
LOAD_MYSQL=$MYSQL'
    exec "$(pick mariadb mysql)" -u "$user"'

# dump SERVICE KIND NAME: dump to backups/NAME.sql.gz. Both exit codes count, of the server's program and of gzip,
# and the file is read back to its last line. Remains of a killed dump are removed first; only one runs at a time.
dump() {
    to=$base/backups/$app/$3
    rm -f "$base/backups/$app"/*.part
    dump_whole "$1" "$2"
    dumped=$?
    rm -f "$to".*.part
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
    [ "$whole" = 1 ] || { say "the dump of $svc is incomplete" && return 1; }
    [ "$tables" != 0 ] || { say "the dump of $svc contains no table" && return 1; }
    printf '%s\n' "$kind $svc $(current) $tables" >"$to.about" && mv "$to.gz.part" "$to.sql.gz" || return
    sync -f "$to.sql.gz" 2>/dev/null || :
}

# back_up SERVICE KIND: make a dump whose name begins with the time, and say what it contains.
back_up() {
    read -r began _ </proc/uptime
    name=$(new_name "$1")
    dump "$1" "$2" "$name" || return
    read -r ended _ </proc/uptime
    say "$name: $tables tables, $(wc -c <"$base/backups/$app/$name.sql.gz" | tr -d ' ') bytes, $((${ended%.*} - ${began%.*})) s"
    forget_backups "$1" ''
}

# new_name SERVICE: print a name from the time that no dump has yet.
new_name() {
    while name=$(date -u +%Y%m%dT%H%M%SZ)-$1 && [ -e "$base/backups/$app/$name.about" ]; do sleep 1; done
    echo "$name"
}

# forget_backups SERVICE NAME: remove all dumps of it but the last five and NAME. A dump from the future was made
# while the clock was wrong (or it is wrong now), and counts as the oldest: else it would outlive newer ones.
forget_backups() {
    for each in "$base/backups/$app"/*-"$1".about; do echo "${each%.about}"; done | sort -r |
        awk -v now="$base/backups/$app/$(date -u +%Y%m%dT%H%M%SZ)-$1" '
            $0 "" > now "" { late[++count] = $0; next }
            { print }
            END { for (each = 1; each <= count; each++) print late[each] }' | sed 1,5d |
        while IFS= read -r each; do
            [ "${each##*/}" = "$2" ] || rm -f "$each.sql.gz" "$each.about"
        done
}

# list_backups: print `backup NAME BYTES KIND SERVICE RELEASE TABLES` for each dump.
list_backups() {
    for each in "$base/backups/$app"/*.about; do
        each=${each%.about}
        [ ! -f "$each.sql.gz" ] || echo "backup ${each##*/} $(wc -c <"$each.sql.gz" | tr -d ' ') $(cat "$each.about")"
    done
}

# known_before NOTE NAME: print the lines in the record of a killed restore that also count for this one: what it
# had stopped, and its dump of the previous data if it restored the same dump.
known_before() {
    same=
    [ "$(head -n 1 "$1" 2>/dev/null)" != "$2" ] || same='|before'
    grep -E "^(stopped$same) " "$1" 2>/dev/null
}

# bring_back NOTE: restore the dump in its first line into $server. The present data is dumped before, and restored
# if the restore fails: returns 1 then, or 2 if that fails too.
bring_back() {
    name=$(head -n 1 "$1")
    before=$(sed -n 's/^before //p' "$1")
    if [ -z "$before" ]; then
        before=$(new_name "$svc")
        if dump "$svc" "$kind" "$before"; then say "the previous data is saved as $before"; else before=-; fi
        echo "before $before" >>"$1"
    fi
    fill "$base/backups/$app/$name" && say "$name is restored" && return
    failed="$name could not be restored: $said"
    say "! $failed"
    if [ "$before" = - ] || ! fill "$base/backups/$app/$before"; then
        say "! $svc is only partly restored, so the app stays stopped"
        return 2
    fi
    say "! the previous data ($before) was restored again"
    return 1
}

# fill FILE: load a dump with the server's own program; sets $said to its last error.
fill() {
    case $kind in postgres) script=$LOAD_POSTGRES ;; *) script=$LOAD_MYSQL ;; esac
    {
        gzip -dc "$1.sql.gz"
        echo $? >"$run/code"
    } | docker exec -i "$server" sh -c "$script" 2>"$run/errors" >/dev/null
    filled=$? said=$(grep . "$run/errors" | grep -v 'NOTICE' | tail -n 1)
    [ "$filled" = 0 ] && [ "$(cat "$run/code")" = 0 ]
}
