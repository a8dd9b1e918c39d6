# shellcheck shell=sh
# Review apps: lists the other projects on this host, and removes a review app with all that belongs to it.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154

# beside: for a review app, print its mark, the other review apps, and what it must not share.
beside() {
    echo "top $top"
    [ "$(pwd -P)" = "$top" ] || echo "top $(pwd -P)"
    [ -z "$(ls -A "$path" 2>/dev/null)" ] || echo "mark $(cut -d ' ' -f 1 "$path/review" 2>/dev/null)"
    reviews
    others
    for each in "$top"/.ci-deploy/apps/*/project; do
        [ -f "$each" ] || continue
        ids=$(docker ps -aq --filter "label=com.docker.compose.project=$(cat "$each")")
        # shellcheck disable=SC2086  # words
        [ -z "$ids" ] || docker inspect -f '{{range .Config.Env}}{{println .}}{{end}}' $ids
    done | sed -n '/^[A-Za-z_][A-Za-z0-9_]*=[a-z][a-z0-9+.-]*:\/\//{s/:\/\/.*@/:\/\//;s/?.*//;s/^/address /;p;}' |
        sort -u
}

# reviews: print the review apps of this directory, each with the seconds since its last deploy.
reviews() {
    today=$(date +%s)
    for each in "$top"/.ci-deploy/reviews/*/review; do
        [ -f "$each" ] || continue
        name=${each%/review}
        echo "review ${name##*/} $((today - $(date -r "$each" +%s))) $(cat "$each")"
    done
}

# adopt BASE: mark the app as a review app of BASE.
adopt() { mkdir -p "$path" && put "$path/review" "$1 "; }

# of_project KIND: print the ids of the project's containers, volumes or networks.
of_project() {
    case $1 in
    container) set -- ps -a --no-trunc ;;
    *) set -- "$1" ls ;;
    esac
    docker "$@" -q --filter "label=com.docker.compose.project=$project"
}

# destroy APP PROJECT BASE SECONDS: remove all of it. The mark is removed last, so that the next run can finish a
# killed one; what has no mark is left alone. SECONDS: how long to wait for the lock.
destroy() {
    enter "$1"
    project=$2 wait_for=$4
    rmdir "$path" 2>/dev/null # a killed run's, with nothing in it, not even the mark
    foreign=$(docker ps -a --filter "label=com.docker.compose.project=$project" \
        --format '{{.Names}} {{.Label "ci-deploy.review"}}') || exit 1
    if [ "$(cut -d ' ' -f 1 "$path/review" 2>/dev/null)" != "$3" ]; then
        foreign=$(echo "$foreign" | awk -v base="$3" 'NF && $2 != base { print $1 }')
        [ ! -e "$path" ] || foreign="$path $foreign"
        if [ -n "$foreign" ]; then
            say "$foreign: not marked as a review app of $3"
            exit 14
        fi
    fi
    [ ! -d "$path" ] || lock_out || exit 13
    run=$home leaving=$path
    limited="timeout -k 10 120"
    command -v timeout >/dev/null || limited=
    ids=$(of_project container) || exit 1
    # shellcheck disable=SC2086  # words
    if [ -n "$ids" ]; then
        say "removing $(echo "$ids" | wc -l | tr -d ' ') containers"
        $limited docker stop $ids >/dev/null
        docker rm -fv $ids >/dev/null
    fi
    each_of volume
    each_of network
    if [ -d "$path" ]; then
        clear_data
        remove_images
        rm -rf "$base"
    fi
    left=$(for kind in container volume network; do of_project "$kind" || echo "(Docker does not answer)"; done)
    [ -z "$left" ] || {
        say "still there: $(echo "$left" | tr '\n' ' ')"
        exit 1
    }
    rm -f "$path/review" && rm -rf "$path"
    [ ! -e "$path" ] || {
        say "still there: $(find "$path" | head -n 5 | tr '\n' ' ')"
        exit 1
    }
    rmdir "$top/.ci-deploy/reviews" 2>/dev/null
    say "nothing of $app is left"
}

# lock_out: tell running deployments of it to stop, and take the lock.
lock_out() {
    mkdir -p "$home" && exec 9>>"$home/lock" || exit 1
    clock
    first=$clock
    until flock -n 9; do
        for each in "$home"/runs/*; do
            if [ ! -d "$each" ] || [ -f "$each/outcome" ]; then continue; fi
            put "$each/word.back" "the review app is being removed"
        done
        waited "$first"
        [ "$waited" -lt "$wait_for" ] || {
            say "the lock is held by $(holder)"
            return 1
        }
        pause
    done
}

# each_of KIND: remove the volumes or networks one by one; containers of others leave a network first.
each_of() {
    for each in $(of_project "$1"); do
        docker "$1" rm "$each" >/dev/null 2>&1 && say "removed the $1 $each" && continue
        if [ "$1" = network ]; then
            docker network inspect -f '{{range $id, $_ := .Containers}}{{println $id}}{{end}}' "$each" |
                while read -r joined; do [ -z "$joined" ] || docker network disconnect -f "$each" "$joined"; done
        fi
        docker "$1" rm "$each" >/dev/null && say "removed the $1 $each"
    done
}

# clear_data: remove its files. Containers may have written them as any user; where this user may not remove
# them, a container of one of its own images does.
clear_data() {
    find "$path" -mindepth 1 -maxdepth 1 ! -name .ci-deploy ! -name review -exec rm -rf {} + 2>/dev/null
    cat "$home"/releases/*/made.*/images 2>/dev/null | awk '{ print $4 }' | sort -u | while read -r sum; do
        rest=$(find "$path" -mindepth 1 -maxdepth 1 ! -name .ci-deploy ! -name review)
        [ -n "$rest" ] || return 0
        printf '%s\n' "$rest" | while IFS= read -r each; do
            docker run --rm --network none --user 0 --entrypoint rm -v "$path:/of-review-app" "$sum" \
                -rf "/of-review-app/${each##*/}" </dev/null 2>/dev/null
        done
    done
}

# remove_images: remove the images that ci-deploy has pulled for it, unless another app uses or keeps them.
remove_images() {
    {
        awk '{ print $5 }' "$home"/releases/*/made.*/images 2>/dev/null
        awk '{ print $2 }' "$home/loaded" 2>/dev/null
    } | sort -u >"$run/sent"
    rm -f "$home/loaded"
    while read -r name; do ! sent "$name" || remove_sent "$name"; done <"$run/sent"
    [ -f "$home/pulled" ] || return 0
    while read -r sum; do
        if kept "$sum"; then
            hand_over "$sum"
        elif docker rmi "$sum" >/dev/null 2>&1; then
            say "removed the image $sum"
        fi
    done <"$home/pulled"
}

# hand_over IMAGE-ID: record the image as pulled by another app that uses it, which removes it later.
hand_over() {
    for heir in "$top"/.ci-deploy/apps/* "$top"/.ci-deploy/reviews/*/.ci-deploy/apps/*; do
        [ "$heir" != "$home" ] || continue
        grep -qs " $1 " "$heir"/releases/*/made.*/images || continue
        echo "$1" >>"$heir/pulled"
        return
    done
}
