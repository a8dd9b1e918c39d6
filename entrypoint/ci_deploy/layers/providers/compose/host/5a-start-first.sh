# shellcheck shell=sh
# Services with `deploy.update_config.order: start-first`, which Compose does not know: their new
# containers start beside the old ones, and those are only stopped when the new ones are verified.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154

# roll_all: before `docker compose up`, which then finds these services as it wants them. The release has
# a list of them, in the order of their dependencies: `service parallelism delay monitor fill [+]need…`;
# what has to be ready before has a plus.
#
# No progress is recorded: the running containers show how far a killed run has come.
roll_all() {
    [ -f "${made%/*}/start-first" ] || return 0
    brought=' '
    while read -r rolled parallelism delay monitor fill needed; do
        want=$(awk -v name="$rolled" '$1 == name { print $3 }' "$made/images")
        if [ "${want:-0}" = 0 ] || [ -z "$(members)" ]; then continue; fi
        bring_needed && roll || return
    done <"${made%/*}/start-first"
}

# members: `id state hash` of each container of the service; the hash is what Compose itself compares.
members() {
    containers '{{.ID}} {{.State}} {{.Label "com.docker.compose.config-hash"}}/{{.Label "com.docker.compose.image"}}' \
        --filter "label=com.docker.compose.service=$rolled"
}

# bring_needed: first start the services on which this one depends, since Compose also recreates what
# depends on a recreated service. Each only once, since a task would run each time.
bring_needed() {
    names='' ready=''
    for each in $needed; do
        case $brought in *" ${each#+} "*) continue ;; esac
        brought="$brought${each#+} " names="$names ${each#+}"
        case $each in +*) ready="$ready ${each#+}" ;; esac
    done
    # shellcheck disable=SC2086  # words
    [ -z "$names" ] || up -d --no-build $names || return
    [ -z "$ready" ] || verify "$ready"
}

# roll: replace the containers of a service so that it never has fewer serving ones than wanted.
roll() {
    # What does not run serves nobody; Compose would count it, and start it again.
    forget "$(members | awk '$2 == "created" || $2 == "exited" || $2 == "dead" { print $1 }')"
    if [ -z "$(members)" ]; then return; fi
    new=''
    # One more than there are: its hash is the one that the others must have too. (`config --hash`
    # prints a different one than Compose gives to containers.)
    create 1 || return
    hash=$(members | awk -v new="$new" '$1 == new { print $3 }')
    old=$(members | awk -v hash="$hash" '$3 != hash { print $1 }')
    good=$(members | awk -v hash="$hash" -v new="$new" '$3 == hash && $1 != new { print $1 }')
    if [ -z "$old" ] || [ "$(number "$good")" -ge "$want" ]; then forget "$new" && new=''; fi
    while [ -n "$old" ]; do
        if ! add_some; then
            among='' because=$why
            forget "$new"
            why=$because
            return 1
        fi
        drop_some || return
        [ -z "$old" ] || sleep "$delay"
    done
}

# add_some: start as many new containers as `parallelism` allows, and verify all new ones.
add_some() {
    lacking=$((want - $(number "$good")))
    if [ "$lacking" -gt 0 ]; then
        if [ "$parallelism" -gt 0 ] && [ "$lacking" -gt "$parallelism" ]; then lacking=$parallelism; fi
        more=$((lacking - $(number "$new")))
        [ "$more" = 0 ] || create "$more" || return
        say "$rolled: starting $lacking new beside $(number "$old") old containers"
        clock
        begun=$clock
        start_new || return
        good=$(lines "$good" "$new")
    fi
    among=$good
    verify "$rolled" || return
    # A proxy needs a moment to see them.
    if [ -n "$new" ] && waited "$begun" && [ "$waited" -lt "$monitor" ]; then
        until [ "$waited" -ge "$monitor" ] || cancelled; do pause && waited "$begun"; done
        verify "$rolled" || return
    fi
    among='' new=''
}

# drop_some: stop the old containers that are not needed any more, the oldest first.
drop_some() {
    count=$(($(number "$good") + $(number "$old") - want))
    leaving=$(echo "$old" | tail -n "$count")
    say "$rolled: stopping old containers ($(number "$leaving"))"
    # shellcheck disable=SC2086  # words; each gets its own stop signal and grace period
    if ! $limited docker stop $leaving >/dev/null || ! docker rm $leaving >/dev/null; then
        why="$rolled: the previous containers cannot be stopped"
        return 1
    fi
    old=$(echo "$old" | grep -vxF "$leaving") || : # none is left
}

# create COUNT: create that many more of $new, not started yet. Not with `--no-deps`, which would change
# the hash.
create() {
    before=$(members | cut -d ' ' -f 1) lines=$(wc -l <"$run/log")
    if ! compose "$made" create --no-build --no-recreate \
        --scale "$rolled=$(($(number "$before") + $1))" "$rolled"; then
        why="\`docker compose create\` failed: $(sed "1,${lines}d" "$run/log" | last_error)"
        return 1
    fi
    created=$(members | cut -d ' ' -f 1 | grep -vxF "$before")
    new=$(lines "$new" "$created")
    if [ -n "$created" ]; then return; fi
    why="$rolled: Compose has created no container"
    return 1
}

# start_new: start $new with `docker start`; with Compose only if it has to copy configs or secrets into
# them, since it would run the tasks on which they depend again.
start_new() {
    # shellcheck disable=SC2086  # words
    lost=$(docker inspect -f '{{range .Mounts}}{{if eq .Type "volume"}}{{.Name}} {{.Destination}}
{{end}}{{end}}' $new | awk 'length($1) == 64 && $1 ~ /^[0-9a-f]+$/ { print $2 }' | sort -u | tr '\n' ' ')
    if [ -n "$lost" ]; then
        why="$rolled: its image has a volume (${lost% }) that the compose file does not name, so its contents would be lost (start-first)"
        return 1
    fi
    lines=$(wc -l <"$run/log")
    if [ "$fill" = yes ]; then
        compose "$made" start "$rolled" && return
    else
        # shellcheck disable=SC2086
        docker start $new >/dev/null && return
    fi
    why="$rolled: could not be started: $(sed "1,${lines}d" "$run/log" | last_error)"
    return 1
}

# forget IDS: remove these containers, with their anonymous volumes.
forget() {
    if [ -z "$1" ]; then return; fi
    # shellcheck disable=SC2086  # words
    $limited docker stop $1 >/dev/null 2>&1
    # shellcheck disable=SC2086
    docker rm -v $1 >/dev/null
}

# lines TEXT…: print the lines without empty ones.
lines() { printf '%s\n' "$@" | grep .; }

# number IDS: count them.
number() { echo "$1" | grep -c .; }
