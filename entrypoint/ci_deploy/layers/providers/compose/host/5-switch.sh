# shellcheck shell=sh
# The switch, which the app's users may notice: stops the old release and starts the new one, or rolls back.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154

# switch_to RELEASE-ID: switch to it, as prepared in $made. The file `pending` exists from before the first
# change until the host runs a verified release, and tells the next run what this one did not finish.
switch_to() {
    from=$(current)
    put "$home/pending" "$1 ${run##*/}" && on_disk && phase switching || return
    if activate "$made" && gate keep && ! cancelled; then
        accept "$1"
        return
    fi
    go_back
}

# activate MADE: start it and verify it; again if the engine was away meanwhile.
activate() {
    made=$1
    for _ in 1 2 3; do
        away=''
        try_it
        activated=$?
        if [ "$activated" = 0 ] || ! engine_is_back || [ -z "$away" ]; then break; fi
    done
    return "$activated"
}

try_it() {
    if ! wait_for_engine; then why="Docker does not answer" && return 1; fi
    if ! lay "${made%/*}" || ! place "${made%/*}"; then
        why="files of the release cannot be written to $path"
        return 1
    fi
    write_override "$made" || [ -f "$made/override.json" ] || return
    mark_stops
    watch_client
    why=''
    if bring_up; then
        [ -n "$going_back" ] || phase verifying
        verify
    elif [ -z "$why" ]; then
        why="\`docker compose up\` failed${said:+: $said}"
        show_failed
        false
    else
        false
    fi
    tried_it=$?
    tell_client
    tell_stops
    return "$tried_it"
}

bring_up() {
    remove_dropped
    said=''
    roll_all || return
    up -d --no-build && return
    # Caused by what an earlier `up` has left behind: remove it and try again.
    case $said in *'is already in use'*) remove_leftovers && up -d --no-build ;; *) return 1 ;; esac
}

# up WORD…: `docker compose up`; when it fails, $said is its reason in its own words.
up() {
    lines=$(wc -l <"$run/log") said=
    compose "$made" up "$@" && return
    said=$(sed "1,${lines}d" "$run/log" | last_error)
    return 1
}

# last_error: print the last line of Compose's output that is not about its progress.
last_error() { grep -Ev '^ *$|^ *(Container|Network|Volume|Image) |level=warning' | tail -n 1; }

# remove_dropped: remove the containers of services that an earlier release had and this one has not.
# Before the `up`, since they may hold a port. Not with `--remove-orphans`, which would also remove
# containers that another compose file has started in the same project.
remove_dropped() {
    dropped=$(containers '{{.ID}} {{.Label "com.docker.compose.service"}} {{.Names}} {{.Label "com.docker.compose.project.config_files"}}' |
        while read -r id svc name from; do
            case $from in *"/.ci-deploy/apps/$app/releases/"*) ;; *) continue ;; esac
            grep -Eq "^$svc( |\$)" "${made%/*}/services" || echo "$id $name"
        done)
    [ -n "$dropped" ] || return 0
    echo "$dropped" | while read -r id name; do say "removing $name: this release has no such service"; done
    dropped=$(echo "$dropped" | cut -d ' ' -f 1)
    # shellcheck disable=SC2086  # words
    $limited docker stop $dropped >/dev/null
    # shellcheck disable=SC2086
    docker rm $dropped >/dev/null
}

# accept RELEASE-ID: record that $made is verified. Links are replaced atomically, and all files of the
# current release are written before the link to it.
accept() {
    rel=$home/releases/$1 why="the state of the release could not be saved: is the disk full?"
    # Services that have ended well are tasks that are done: they need not run.
    {
        awk -F '|' '$4 == "exited" { print $2, "done" }' "$run/containers"
        sed -n 's/^may //p' "$run/verdict"
    } | sort -u >"$made/tasks" &&
        { [ "$made" = "$rel/proven" ] || link "${made##*/}" "$rel/proven"; } &&
        live_now >"$rel/live" && on_disk && link "releases/$1" "$home/current" && rm -f "$home/pending"
}

# live_now: the time, but later than that of every earlier release, even if the clock was set back: it
# defines their order.
live_now() {
    cat "$home"/releases/*/live 2>/dev/null |
        awk -v now="$(date +%s)" '$1 >= now { now = $1 + 1 } END { printf "%.0f\n", now }'
}

# on_disk: write to the disk, so that it survives a loss of power; where `sync -f` is supported.
on_disk() { sync -f "$home" 2>/dev/null || :; }

link() { ln -sfn "$1" "$2.new" && mv -fT "$2.new" "$2"; }

# reject RELEASE-ID: no rollback may choose it any more, and the next deploy of it prepares it anew.
reject() { rm -f "$home/releases/$1/live" "$home/releases/$1/proven"; }

# go_back: roll back to the release that was verified last, and verify it again. $why is the reason; if
# the release itself did not fail (a cancel), the outcome is `recalled`.
go_back() {
    because=${why:-$(reason)} recalled=''
    if [ -z "$why" ] || cancelled; then recalled=yes; fi
    back=$(current)
    going_back=1
    phase rolling-back
    if [ -z "$back" ]; then
        say "! $because; there is no release to roll back to, so the containers of this one are stopped"
        stop_new "$run"
        rm -f "$home/pending"
        finish stopped "$because"
    fi
    say "! $because: rolling back to $back"
    if activate "$home/releases/$back/proven"; then
        rm -f "$home/pending"
        [ -z "$recalled" ] || finish recalled "$because"
        [ "$release" = "$back" ] || reject "$release"
        finish rolled-back "$because"
    fi
    finish broken "$because; rolling back to $back failed too: $why"
}

# note_before: at a first deploy, record the containers that somebody has started manually.
note_before() {
    [ -n "$(current)" ] || containers '{{.ID}}' --filter status=running >"$run/before"
}

# stop_new RUN: without a release to roll back to, stop the containers that the run has started. Those
# that ran before and were not replaced (a database) keep running.
stop_new() {
    new=$(containers '{{.ID}}' | grep -vxF -f "$1/before")
    # shellcheck disable=SC2086  # words
    [ -z "$new" ] || $limited docker stop $new >/dev/null
}

# --- downtime ---

mark_stops() {
    containers '{{.Label "com.docker.compose.service"}}' --filter status=running |
        sort | uniq -c >"$run/running"
    clock
    stops_since=$(date +%s) stops_from=$clock
}

# tell_stops: compute the downtime of each service by the engine's events: from the end of its last old container
# to the start of its first new one (with a healthcheck: until that is healthy). Logged if no client measured it.
tell_stops() {
    docker events --since "$stops_since" --until "$(stamp)" --filter type=container \
        --filter event=start --filter event=die --filter event=health_status \
        --filter "label=com.docker.compose.project=$project" \
        --filter label=com.docker.compose.oneoff=False \
        --format '{{.TimeNano}} {{.Action}} {{index .Actor.Attributes "com.docker.compose.service"}}' \
        2>/dev/null >"$run/events"
    awk -v now="$(stamp)" -v most="$(since "$stops_from")" '
        function serves(name) {
            if (!(name in down)) return
            total[name] += $1 / 1e9 - down[name]; delete down[name]
        }
        FILENAME ~ /containers$/ {
            split($0, field, "|")
            if (field[8] != "none") checked[field[2]] = 1
            next
        }
        FILENAME ~ /running$/ { count[$2] = $1; next }
        !($NF in count) { next } # it did not run before
        $2 == "die" && --count[$NF] == 0 { down[$NF] = $1 / 1e9 }
        $2 == "start" { count[$NF]++ }
        $2 == "start" && !($NF in checked) || $2 == "health_status:" && $3 == "healthy" { serves($NF) }
        END {
            for (name in down) total[name] += now - down[name]
            for (name in total) # what is longer than all of it, somebody has set the clock in between
                if (total[name] >= 0 && total[name] <= most + 1) printf "%s %.1f\n", name, total[name]
        }' "$run/containers" "$run/running" "$run/events" | sort >"$run/stops"
    [ -s "$run/stops" ] || return 0
    [ -n "$client" ] || say "stopped: $(awk '{ printf "%s%s for %s s", (NR > 1 ? ", " : ""), $1, $2 }' "$run/stops")"
    stopped=$(awk -v sum="${stopped:-0}" '$2 > most { most = $2 } END { printf "%.1f", sum + most }' "$run/stops")
}

# --- what an earlier run could not finish ---

# recover: after a killed run, a reboot or a full disk, finish the release in `pending` or roll it back.
# As long as `pending` exists, no release counts as verified, not even the current one, since the killed
# run may have stopped its containers.
recover() {
    remove_leftovers
    forget_old_secrets
    wait_for_commands
    [ -f "$home/pending" ] && read -r open_id open_run <"$home/pending" || return 0
    open=$home/releases/$open_id left=$home/runs/$open_run
    was=$(cat "$left/state" 2>/dev/null) tried=$open/made.$open_run
    [ -d "$tried" ] || tried=$open/proven
    phase recovering
    say "! release $open_id was left unfinished ($was)"
    from=$(current)
    if ! was_to_go_back && ensure_images "$tried" && activate "$tried" && accept "$open_id"; then
        healed=live
    elif [ -z "$from" ]; then
        stop_new "$left"
        rm -f "$home/pending"
        healed=stopped
    elif going_back=1 && ensure_images "$home/releases/$from/proven" && activate "$made"; then
        rm -f "$home/pending"
        healed=rolled-back
    else
        unhealed="what an earlier run left unfinished could not be repaired: $why"
        say "! $unhealed"
    fi
    audit_for "$open_run" "$open_id"
    say "release $open_id $(what_became)"
    why='' going_back=
}

# what_became: print what `recover` has made of the unfinished release ($healed), in words.
what_became() {
    case $healed in
    live) echo "is live" ;;
    stopped) echo "is stopped, because there is no release to roll back to" ;;
    rolled-back) echo "was rolled back to $from" ;;
    *) echo "is still unfinished" ;;
    esac
}

# was_to_go_back: whether the run in $left had to roll back: it had begun to, had the message `back`, or
# was one of several hosts and had not heard that all have verified the release.
was_to_go_back() {
    [ "$was" = rolling-back ] || [ -f "$left/word.back" ] || {
        grep -qs '^gates yes' "$left/settings" && [ ! -f "$left/word.keep" ]
    }
}

# wait_for_commands: wait for another release's command before traffic that still runs although its run
# was killed, so that never two migrations run at a time.
wait_for_commands() {
    for each in $(docker ps --filter "name=^$project-migrate-" --format '{{.Names}}'); do
        case $each in "$project-migrate-$release-"*) continue ;; esac
        say "waiting for $each, which a killed run left behind"
        docker wait "$each" 9>&- 8>&- >/dev/null
    done
}

# audit_for RUN RELEASE-ID: write the line of the audit log that a killed run could not write.
audit_for() {
    mine=$run was_release=$release
    run=$home/runs/$1 release=$2
    audit "interrupted${healed:+, $(what_became)}"
    # Its job may still be there, and reads from this how it has ended.
    [ -f "$run/outcome" ] || put "$run/outcome" "${healed:-broken} the run was killed; $2 $(what_became)"
    run=$mine release=$was_release
}
