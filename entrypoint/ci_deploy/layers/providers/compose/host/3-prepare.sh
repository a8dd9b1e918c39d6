# shellcheck shell=sh
# What a deploy does before it touches the running containers: environment, images, pins, migrations.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154

# write_env MADE: write the values of `${…}` in the compose files. The last line of a name wins: the
# host's own .env, then APP_CONFIG, then the tag. One file, since only newer versions of Compose
# accept several.
write_env() {
    rel=${1%/*}
    put "$1/env" "$(env_sum)" || return
    # A service may name the .env that APP_CONFIG stands for; Compose insists that it exists.
    # (Nobody makes one by hand for a review app, and production's is not for it.)
    if grep -q ' env\( \|$\)' "$rel/services" && [ ! -e "$path/.env" ] &&
        { [ -s "$rel/app.env" ] || [ -n "$review" ]; }; then
        echo "# empty: ci-deploy gives each release its own, made of APP_CONFIG" >"$path/.env"
    fi || return
    release_env "$rel" >"$1/compose.env"
}

# release_env DIR: the environment of a release that is kept there.
release_env() {
    if [ -f "$path/.env" ]; then
        cat "$path/.env" && echo # for one without a line end
    fi
    cat "$1/app.env" "$1/tag.env"
}

# env_sum: a hash of the host's own .env without its comments; a missing one counts as empty.
env_sum() { sed '/^#/d' "$path/.env" 2>/dev/null | sha256sum | cut -c 1-16; }

# flag SERVICE NAME: whether ci-deploy has marked a service, in the file `services`:
#   tag   its image is named by DEPLOY_TAG     env        it takes the app's configuration
#   task  it ends when it is done              optional   it is in a profile
#   always, missing, never                     when its image is pulled
flag() { grep -Eq "^$1( .*)? $2( |\$)" "$rel/services"; }

# prepare RELEASE: pull and pin all images. From here on no registry is needed.
#
# The environment and the pins of a release get a separate directory at each attempt, $made; the link
# `proven` names the one that was verified last. So a release that runs, or to which somebody may roll
# back, does not change, even if its tag has moved or this attempt fails.
prepare() {
    rel=$1 made=$1/made.${run##*/}
    phase pulling && check_disk || return
    say "Docker Compose $(docker compose version --short)"
    forget_tries "$rel"
    lay "$rel" && mkdir -p "$made" && write_env "$made" || return
    model "$made" 2>"$run/compose.errors" | awk '!seen[$1]++' >"$made/model"
    [ -s "$made/model" ] || {
        cat "$run/compose.errors"
        mark bad_files
        why="Compose does not accept the files: $(tail -n 1 "$run/compose.errors")"
        return 1
    }
    take_promoted && take_loaded && wanted_images | sort -u >"$run/wanted"
    pull_all <"$run/wanted" || return
    forget_login
    pin_all && write_labels "$made" && write_override "$made"
}

# take_proven RELEASE: like `prepare`, for a release that was verified before with the same .env: it
# uses the same images.
take_proven() {
    rel=$1 made=$1/proven
    phase pulling && lay "$rel" && ensure_images "$made" && forget_login
}

# forget_tries RELEASE: remove the directories of its attempts, except the verified one and one that a
# killed run has left unfinished.
forget_tries() {
    for each in "$1"/made.*; do
        case ${each##*/} in "$(readlink "$1/proven")" | "made.$(cut -d ' ' -f 2 "$home/pending" 2>/dev/null)") ;;
        *) rm -rf "$each" ;;
        esac
    done
}

check_disk() {
    root=$(docker info --format '{{.DockerRootDir}}' 2>/dev/null)
    for place in "$path" "${root:-/var/lib/docker}"; do
        free=$(df -Pk "$place" 2>/dev/null | awk 'NR == 2 { print int($4 / 1024) }')
        [ "${free:-$min_free}" -ge "$min_free" ] || {
            why="only $free MB are free in $place, but $min_free are required (COMPOSE_MIN_FREE)"
            return 1
        }
    done
}

# take_promoted: use the images that another environment has verified, by their digests.
take_promoted() {
    [ ! -f "$rel/promoted" ] || take_from "$rel/promoted"
}

# take_from FILE: use the images that it names for services instead of those of the compose files.
take_from() {
    while read -r svc image replicas; do
        pinned=$(second "$svc" "$1")
        echo "$svc ${pinned:-$image} $replicas"
    done <"$made/model" >"$made/model.new" && mv -f "$made/model.new" "$made/model"
}

# wanted_images: print the images to pull. The tags of the app's images may have moved; an image of a
# database that the host has stays, so that a deploy of the app does not restart the database.
wanted_images() {
    while read -r svc image _; do
        ! flag "$svc" never && [ -z "$(second "$svc" "$rel/loaded")" ] || continue
        if ! flag "$svc" missing && { flag "$svc" tag || flag "$svc" always; }; then
            echo "$image"
        else
            docker image inspect "$image" >/dev/null 2>&1 || echo "$image"
        fi
    done <"$made/model"
}

# pin_all: `service image replicas id pinned-name` of each service.
pin_all() {
    while read -r svc image replicas; do
        pinned=$(pin "$image") || {
            why="$svc: there is no image $image on this host"
            return 1
        }
        note_pulled "${pinned%% *}"
        [ -z "$(second "$svc" "$rel/loaded")" ] || pinned="${pinned%% *} $image"
        echo "$svc $image $replicas $pinned"
    done <"$made/model" >"$made/images.new" && mv -f "$made/images.new" "$made/images"
}

# write_override MADE: write a file that overrides the compose files. The app's images are pinned by
# their digest; others only when their tag has moved since, because a changed name would restart
# them. `never`: nothing may be pulled while the old containers are stopped.
write_override() (
    made=$1 rel=${1%/*} comma=
    {
        printf '{"services": {'
        while read -r svc image _ sum pinned; do
            printf '%s\n  "%s": {"pull_policy": "never"' "$comma" "$svc"
            if [ "$pinned" != - ] && { flag "$svc" tag || [ "$(pin "$image")" != "$sum $pinned" ]; }; then
                printf ', "image": "%s"' "$pinned"
            fi
            labels='' label=$(second "$svc" "$made/labels")
            [ -z "$label" ] || labels="\"ci-deploy.content\": \"$label\""
            [ ! -f "$rel/review" ] ||
                labels="$labels${labels:+, }\"ci-deploy.review\": \"$(cat "$rel/review")\""
            [ -z "$labels" ] || printf ', "labels": {%s}' "$labels"
            if flag "$svc" env; then printf ', "env_file": ["%s"]' "$rel/app.env"; fi
            printf '}'
            comma=,
        done <"$made/images"
        printf '\n}}\n'
    } >"$made/override.$$" && mv -f "$made/override.$$" "$made/override.json"
)

# ensure_images MADE: pull by digest the images that a clean-up of the host has removed.
ensure_images() {
    made=$1
    [ -f "$made/images" ] || {
        why="this release was never verified on this host"
        return 1
    }
    while read -r svc image _ sum pinned; do
        if docker image inspect "$sum" >/dev/null 2>&1; then
            ! sent "$pinned" || docker tag "$sum" "$pinned"
            continue
        fi
        ! sent "$pinned" || {
            why="$svc: $pinned is gone from this host, and no registry has it: deploy its archive again"
            return 1
        }
        if [ "$pinned" = - ]; then echo "$image"; else echo "$pinned"; fi
    done <"$made/images" >"$run/wanted.all"
    sort -u "$run/wanted.all" >"$run/wanted"
    pull_all <"$run/wanted" || return
    while read -r svc image _ sum _; do
        docker image inspect "$sum" >/dev/null 2>&1 || {
            why="$svc: the image that it ran ($image, $sum) is gone from this host and its registry"
            return 1
        }
        note_pulled "$sum"
    done <"$made/images"
}

# --- commands before traffic ---

# run_steps RELEASE: run each command of the release in a container whose name contains its number.
# The name makes sure that it runs only once: not twice at a time, not again after a kill or a
# success. The job judges an exit code other than 0 (a query may answer with one); without an answer
# it counts as a failure.
run_steps() {
    rel=$1
    [ -d "$rel/before" ] || return 0
    phase migrating && start_needed || return
    for step in "$rel"/before/*; do
        number=${step##*/}
        run_step "$project-migrate-${rel##*/}-$number" "$step" "$rel/step.$number"
        code=$(cat "$rel/step.$number" 2>/dev/null)
        mark step "$number" "${code:-1}"
        [ "$code" = 0 ] || wait_for "step.$number" || {
            why="a command before traffic failed (exit code ${code:-unknown})"
            return 1
        }
    done
}

# run_step CONTAINER COMMAND-FILE RESULT-FILE
run_step() {
    name=$1 command=$2 result=$3
    if [ "$(cat "$result" 2>/dev/null)" = 0 ]; then
        say "already done, so not run again: $(sed -n 's/^# //p' "$command")"
        return
    fi
    # A failure that was reported: this run is the second attempt.
    if [ -f "$result" ]; then rm -f "$result" && docker rm -f "$name" >/dev/null 2>&1; fi
    mark begin "${command##*/}"
    if state=$(docker inspect -f '{{.State.Status}}' "$name" 2>/dev/null); then
        say "$name is running already: waiting until it ends"
        [ "$state" != created ] || docker start "$name" >/dev/null
    else
        # shellcheck source=/dev/null
        . "$command" # sets "$@"
        compose "$made" run -d --name "$name" --no-deps -T -e "RAILS_ENV=$deploy_env" \
            "$run_service" "$@" >/dev/null 2>"$run/compose.errors" || cat "$run/compose.errors"
    fi
    # Without the lock's descriptor: if we are killed, these two must not keep it.
    docker logs -f "$name" 2>&1 9>&- 8>&-
    code=$(docker wait "$name" 9>&- 8>&- 2>/dev/null)
    put "$result" "${code:-1}"
    [ "$code" != 0 ] || docker rm "$name" >/dev/null
}

# start_needed: start the services on which the command's service depends, if no container of them
# runs yet (the database at the first deploy). Running ones are left alone.
start_needed() {
    missing=
    for svc in $needs; do
        [ -n "$(containers '{{.ID}}' --filter status=running \
            --filter "label=com.docker.compose.service=$svc")" ] ||
            missing="$missing $svc"
    done
    [ -n "$missing" ] || return 0
    say "starting$missing for the pre-release commands"
    # shellcheck disable=SC2086  # words
    up -d --no-build --no-recreate $missing || {
        why="could not start$missing${said:+: $said}"
        show_failed
        return 1
    }
    verify "$missing"
}
