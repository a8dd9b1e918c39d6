# shellcheck shell=sh
# One run from its upload to its end. The last line of the program starts what was asked for.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154

# stage APP RUN [BASE BRANCH]: on stdin the registry's password on a line of its own, then a tar with
# `run/` and perhaps `release/`. Puts both in place and starts the run, detached. Can be repeated. A
# review app gets its mark first, since `destroy` removes nothing without it.
stage() {
    app=$1 home=$base/apps/$1 run=$base/apps/$1/runs/$2
    [ -z "${3:-}" ] || { mkdir -p "$path" && put "$path/review" "$3 $4"; } || exit
    mkdir -p "$home/releases" "$home/runs" && in=$(mktemp -d "$home/.in.XXXXXX") || exit
    trap 'rm -rf "$in"' EXIT
    IFS= read -r password
    tar -x -f - -C "$in" || exit
    load "$in/run/settings"
    put "$home/project" "$project" || exit
    if [ ! -d "$run" ]; then
        # It stays with its run until that has the lock: other runs may upload the same one, or clean up.
        [ ! -d "$in/release" ] || mv -T "$in/release" "$in/run/release" || exit
        # Held by the run as long as it lives, so that others can see whether it does.
        exec 8>>"$in/run/alive" && flock 8 && mv -T "$in/run" "$run" || exit
    else
        exec 8>>"$run/alive"
        for _ in 1 2 3 4 5; do
            [ ! -f "$run/state" ] || break
            flock -n 8 && break
            pause
        done
    fi
    if [ -f "$run/state" ]; then
        echo "started before"
        return
    fi
    if ! log_in; then
        sed 's/^/login /' "$run/login.errors"
        rm -rf "$run"
        exit 0
    fi
    put "$run/state" queued && : >>"$run/log" || exit
    setsid sh "$me" ${review:+within "$review"} run "$app" "${run##*/}" >>"$run/log" 2>&1 </dev/null &
    echo started
}

# run APP RUN: the detached part, which continues without ssh and the CI job.
run() {
    enter "$1"
    run=$home/runs/$2
    clock
    began=$clock from='' stopped='' why='' going_back='' healed='' unhealed='' locked='' among=''
    client_url='' client='' asker='' unasked=''
    login=$(cat "$run/login" 2>/dev/null)
    load "$run/settings"
    ! command -v timeout >/dev/null || limited="timeout -k 30 $limit"
    gate lock || finish unchanged "$(reason)"
    take_lock
    from=$(current)
    audit started
    unfinished=$(head -n 1 "$home/restoring" 2>/dev/null)
    [ ! -f "$home/restoring" ] || (finish_restore) ||
        finish failed "the interrupted restore of $unfinished could not be finished (see above)"
    recover
    note_before || finish failed "Docker does not answer, or the disk is full"
    rel=$home/releases/$release
    [ "$action" = recover ] || unpack || finish failed "$why"
    why=''
    "run_$action"
}

# unpack: move the release into its place. It never changes, so one that exists is the same.
unpack() {
    why="$release is not kept on this host any more"
    [ -d "$rel" ] || [ ! -d "$run/release" ] ||
        { take_content "$run/release" && mv -T "$run/release" "$rel"; } ||
        why="the state of the release could not be saved: is the disk full?"
    rm -rf "$run/release"
    [ -d "$rel" ]
}

run_deploy() {
    from=$(current) known=''
    [ "$(cat "$rel/proven/env" 2>/dev/null)" != "$(env_sum)" ] || known=yes
    if [ "$from" = "$release" ] && [ -n "$known" ] && well "$rel/proven"; then
        finish noop "$release runs already"
    fi
    newer=$(cat "$home/releases/$from/order" 2>/dev/null)
    if [ "$refuse_outdated" = yes ] && [ "${newer:-0}" -gt "$(cat "$rel/order")" ]; then
        finish refused "$from, which is newer, was deployed in the meantime (REFUSE_OUTDATED)"
    fi
    if [ -n "$known" ]; then
        say "$release was verified on this host before: the same images are used again"
        take_proven "$rel" || finish failed "$why"
    else
        prepare "$rel" || finish failed "${why:-the state of the release could not be saved: is the disk full?}"
    fi
    if [ "$migrates" = yes ]; then
        gate migrate || finish_untouched
        run_steps "$rel" || finish_untouched
    fi
    switch
}

# well MADE: whether all of its containers exist and are up now.
well() {
    made=$1
    [ ! -f "$home/pending" ] && : >"$run/seen" || return
    ids=$(containers '{{.ID}}')
    # shellcheck disable=SC2086  # words
    docker inspect -f "$CONTAINER" $ids >"$run/containers" 2>/dev/null || return
    ! judge '' 0 | grep -v '^wait .* running none$' | grep -q '^bad \|^wait '
}

run_rollback() {
    take_proven "$rel" || finish failed "$why"
    switch
}

# `run` has called `recover` already; this reports its result.
run_recover() {
    [ -z "$unhealed" ] || finish broken "$unhealed"
    case $healed in
    '') finish noop "nothing was left unfinished" ;;
    live) finish live "the unfinished release is live" ;;
    *) finish "$healed" "the run was interrupted" ;;
    esac
}

switch() {
    gate switch || finish_untouched
    ! cancelled || finish_untouched
    why=
    switch_to "$release" || finish broken "$why"
    [ "$reject" = no ] || [ "$from" = "$release" ] || reject "$from"
    finish live "$release"
}

# End the run before the switch: no running container was touched.
finish_untouched() {
    ! cancelled || finish unchanged "$(reason)"
    finish failed "${why:-$(reason)}"
}

# --- keeping the host tidy ---

# clean_up: keep $keep releases that were live, failed ones for three days, and the last 20 runs. Only
# what ci-deploy has made is removed, never by `prune`, since others use this host too.
clean_up() {
    [ -n "$locked" ] || return 0
    forget_one_offs
    forget_sent
    find "$home" -maxdepth 1 -name '.in.*' -mmin +60 -exec rm -rf {} + 2>/dev/null
    find "$top/.ci-deploy" -maxdepth 1 -name 'runner-*.sh' -mtime +30 ! -name "${0##*/}" -exec rm -f {} +
    count=0
    for each in "$home"/runs/*; do count=$((count + 1)); done
    for each in "$home"/runs/*; do
        [ "$count" -gt 20 ] || break
        count=$((count - 1))
        (exec 8>>"$each/alive" && flock -n 8) && rm -rf "$each"
    done
    live=$(current) open=$(cut -d ' ' -f 1 "$home/pending" 2>/dev/null) wanted=$(wanted_by_runs)
    for each in "$home"/releases/*; do
        echo "$(cat "$each/live" 2>/dev/null || echo 0) ${each##*/}"
    done | sort -rn | awk -v keep="$keep" '$1 == 0 { print } $1 > 0 && ++seen > keep { print }' |
        while read -r when id; do
            case $id in "$live" | "$open") continue ;; esac
            case " $wanted " in *" $id "*) continue ;; esac
            [ "$when" != 0 ] || [ -n "$(find "$home/releases/$id" -maxdepth 0 -mtime +2)" ] || continue
            remove_release "$home/releases/$id"
        done
}

# wanted_by_runs: print the releases of this run and of those that wait for the lock.
wanted_by_runs() {
    for each in "$home"/runs/*; do
        (exec 8>>"$each/alive" && flock -n 8) || sed -n 's/^release //p' "$each/settings"
    done | tr '\n' ' '
}

remove_release() {
    rel=$1
    cat "$rel"/made.*/images >"$rel.images" 2>/dev/null
    for each in "$rel"/before/*; do
        docker rm "$project-migrate-${rel##*/}-${each##*/}" >/dev/null 2>&1
    done
    cp "$rel/contents" "$rel.contents" 2>/dev/null
    rm -rf "$rel"
    if [ -f "$rel.contents" ]; then forget_content "$rel.contents" && rm -f "$rel.contents"; fi
    # Only images that ci-deploy has pulled and that no release keeps; without force, so that images in
    # use stay.
    while read -r _ _ _ sum pinned; do
        ! sent "$pinned" || remove_sent "$pinned"
        grep -qsx "$sum" "$home/pulled" || continue
        kept "$sum" || docker rmi "$sum" >/dev/null 2>&1
    done <"$rel.images"
    rm -rf "$rel.images"
}

# kept IMAGE: whether a release of any app on this host has it, by its id or its pinned name. The containers' labels
# lead to the directories of other apps; one that this user may not read counts as having it.
kept() {
    {
        echo "$path"
        echo "$top"
        for folder in "$top"/.ci-deploy/reviews/*; do echo "$folder"; done
        docker ps -a --filter label=com.docker.compose.project \
            --format '{{.Label "com.docker.compose.project.working_dir"}}' || return 0
    } | sort -u >"$run/folders"
    while IFS= read -r folder; do
        [ "$folder" != "${leaving:-}" ] || continue
        case $(LC_ALL=C ls "$folder/.ci-deploy/apps" 2>&1) in *"ermission denied"*) return 0 ;; esac
        ! grep -Eqs " $1( |\$)" "$folder"/.ci-deploy/apps/*/releases/*/made.*/images || return 0
    done <"$run/folders"
    return 1
}

"$@"
