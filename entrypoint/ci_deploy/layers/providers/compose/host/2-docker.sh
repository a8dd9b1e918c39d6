# shellcheck shell=sh
# Calling Docker and Compose, and reading what they answer.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154

# `timeout -k 30 SECONDS` during a run: an engine that hangs must not hold the lock for ever.
limited=

# clean COMMAND…: run it without the session's variables, which could override the release's own
# (with an exported DEPLOY_TAG, each rollback would deploy the present release).
clean() {
    env -i PATH="$PATH" HOME="$HOME" COMPOSE_IGNORE_ORPHANS=true ${DOCKER_HOST:+"DOCKER_HOST=$DOCKER_HOST"} \
        ${DOCKER_CONTEXT:+"DOCKER_CONTEXT=$DOCKER_CONTEXT"} \
        ${DOCKER_CONFIG:+"DOCKER_CONFIG=$DOCKER_CONFIG"} \
        ${XDG_RUNTIME_DIR:+"XDG_RUNTIME_DIR=$XDG_RUNTIME_DIR"} "$@"
}

# files DIR WORD…: Compose with the files of a release; the list has the last one first, since each
# is put in front of the others. Paths in them mean DEPLOY_PATH, wherever the files are: otherwise
# `./data` would be another, empty directory with each release.
files() (
    dir=$1
    shift
    while read -r file; do set -- -f "$dir/files/$file" "$@"; done <"$dir/list"
    # shellcheck disable=SC2086  # words
    clean $limited docker compose --ansi never --project-directory "$path" "$@" </dev/null
)

# compose MADE WORD…: run Compose for a release with its environment and its pinned images. MADE: the
# directory that `prepare` has made for it.
compose() (
    made=$1
    shift
    for file in "$made/override.json" "${made%/*}/content.json"; do # the last comes first
        if [ -f "$file" ]; then set -- -f "$file" "$@"; fi
    done
    set -- --env-file "$made/compose.env" "$@"
    files "${made%/*}" -p "$project" "$@"
)

# --- containers ---

engine_answers() { ${limited:+timeout 20} docker info >/dev/null 2>&1; }

# wait_for_engine: for at most two minutes.
wait_for_engine() {
    tries=0
    until engine_answers; do
        tries=$((tries + 1))
        [ "$tries" -lt 600 ] || return
        pause
    done
}

# containers FORMAT WORD…: `docker ps -a` of the project, without one-off commands.
containers() (
    format=$1
    shift
    # shellcheck disable=SC2086  # words
    $limited docker ps -a --no-trunc --filter "label=com.docker.compose.project=$project" \
        --filter label=com.docker.compose.oneoff=False --format "$format" "$@"
)

# A Compose that is killed in the middle of a recreate leaves the new container under a name like
# 0123456789ab_app-web-1. It makes the next `up` fail in half of the cases.
remove_leftovers() {
    containers '{{.ID}} {{.Names}}' --filter status=created |
        awk 'index($2, "_") == 13 && $2 ~ /^[0-9a-f]+_/' |
        while read -r id left; do
            say "removing $left, which an interrupted \`docker compose up\` left behind"
            docker rm "$id" >/dev/null
        done
}

# model MADE: `service image replicas` for each service, from Compose's own reading of the files.
# (Its output holds the app's secrets, so it only ever goes through this pipe.) The service for commands
# may be in a profile that nothing starts: it is named too, with no replica.
model() {
    compose "$1" config --format json | read_model
    flag "$run_service" optional || return 0
    compose "$1" --profile '*' config --format json | read_model |
        awk -v name="$run_service" '$1 == name { print $1, $2, 0 }'
}

read_model() {
    awk -v project="$project" '
        function out() {
            if (service != "") print service, (image == "" ? project "-" service : image), replicas
        }
        function text() { value = $0; sub(/^[^:]*: "/, "", value); sub(/",?$/, "", value) }
        /^  "services": \{/ { inside = 1; next }
        inside && /^  \}/ { out(); exit }
        !inside { next }
        /^    "[^"]*": \{/ {
            out()
            service = $1; gsub(/[":]/, "", service)
            image = ""; replicas = 1; deploy = 0
        }
        /^      "image": "/ { text(); image = value }
        /^      "scale": [0-9]/ { replicas = $2 + 0 }
        /^      "deploy": \{/ { deploy = 1 }
        /^      \}/ { deploy = 0 }
        deploy && /^        "replicas": [0-9]/ { replicas = $2 + 0 }'
}

# --- images ---

# registry_of IMAGE: the host in its name; docker.io when there is none.
registry_of() {
    case ${1%%/*} in
    "$1" | index.docker.io | registry-1.docker.io) echo docker.io ;; # no slash at all; names of the Hub
    *.* | *:* | localhost) echo "${1%%/*}" ;;
    *) echo docker.io ;;
    esac
}

# pull IMAGE ERRORS: tries again where that may help. ERRORS is a file, so that pulls can run side by
# side.
pull() (
    image=$1 errors=$2 tries=0
    # The login is for its own registry only: for others the host may have one of its own.
    if [ -n "$login" ] && [ "$(registry_of "$image")" = "${registry:-docker.io}" ]; then
        export DOCKER_CONFIG="$login"
    fi
    while :; do
        # shellcheck disable=SC2086  # words
        $limited docker pull -q "$image" >/dev/null 2>"$errors"
        case $? in
        0) return ;;
        124) echo "$image: the pull did not finish within $limit s (DEPLOY_TIMEOUT)" >>"$errors" && return 1 ;;
        137) echo "$image: the pull was killed, or did not finish within $limit s" >>"$errors" && return 1 ;;
        esac
        tries=$((tries + 1))
        [ "$tries" -lt 4 ] && grep -Eqi "$TRY_AGAIN" "$errors" || return 1
        sleep $((tries * tries)) # 1, 4, 9 s
    done
)
TRY_AGAIN='toomanyrequests|too many requests|5[0-9][0-9] (Internal|Bad|Service|Gateway)|connection (reset|refused)|timeout|timed out|EOF$|temporary failure'

# pull_all: the images that are named on stdin, at the same time.
pull_all() {
    docker images -q --no-trunc >"$run/images.before"
    clock
    started=$clock pids='' count=0
    while read -r image; do
        count=$((count + 1))
        say "pulling $image"
        pull "$image" "$run/pull.$count" </dev/null &
        pids="$pids $!"
    done
    failed=0
    for pid in $pids; do wait "$pid" || failed=1; done
    if [ "$failed" = 1 ]; then
        cat "$run"/pull.*
        why=$(cat "$run"/pull.* | tail -n 1)
        return 1
    fi
    [ "$count" = 0 ] || say "pulled in $(since "$started") s"
}

# note_pulled IMAGE-ID: record that ci-deploy has pulled it, if the host did not have it before.
note_pulled() {
    grep -qx "$1" "$run/images.before" || grep -qsx "$1" "$home/pulled" || echo "$1" >>"$home/pulled"
}

# pin IMAGE: print its id, and its name with the digest (`-` if no registry has it, so that it has
# no digest).
pin() (
    found=$(docker image inspect -f '{{.Id}}{{range .RepoDigests}} {{.}}{{end}}' "$1" 2>/dev/null) ||
        return 1
    name=${1#docker.io/} name=${name#library/}
    case ${name##*/} in *:*) repository=${name%:*} ;; *) repository=$name ;; esac
    # shellcheck disable=SC2086  # words
    set -- "$name" $found
    name=$1 id=$2 pinned=-
    shift 2
    case $name in *@*) pinned=$name ;; esac
    for digest in "$@"; do
        [ "${digest%@*}" != "$repository" ] || pinned=$name@${digest#*@}
    done
    echo "$id $pinned"
)

# --- the login at the registry: for one run, in memory where there is such a directory ---

log_in() {
    login=
    [ -n "$user" ] || return 0
    for dir in "${XDG_RUNTIME_DIR:-}" /dev/shm "$run"; do
        [ -d "$dir" ] && [ -w "$dir" ] && break
    done
    login=$(mktemp -d "$dir/ci-deploy-login.XXXXXX") && put "$run/login" "$login" || return 1
    same_engine
    # `printf` is part of the shell: the password is in no argument list.
    printf '%s' "$password" | DOCKER_CONFIG=$login docker login -u "$user" --password-stdin \
        ${registry:+"$registry"} >/dev/null 2>"$run/login.errors" && return
    forget_login
    return 1
}

# same_engine: take the Docker context from the user's own configuration into the temporary one
# (rootless Docker is in a context).
same_engine() {
    own=${DOCKER_CONFIG:-$HOME/.docker}
    context=$(sed -n 's/.*"currentContext": *"\([^"\\]*\)".*/\1/p' "$own/config.json" 2>/dev/null)
    [ ! -d "$own/contexts" ] || ln -s "$(cd "$own" && pwd)/contexts" "$login/contexts"
    [ -z "$context" ] || printf '{"currentContext": "%s"}\n' "$context" >"$login/config.json"
}

forget_login() { remove_login "$run" && login=; }

remove_login() {
    old=$(cat "$1/login" 2>/dev/null) || return 0
    case $old in */ci-deploy-login.*) rm -rf "$old" ;; esac
    rm -f "$1/login"
}

# forget_old_secrets: logins of runs that were killed, and releases of those that have never got so far
# as to need theirs.
forget_old_secrets() {
    for each in "$home"/runs/*/login "$home"/runs/*/release; do
        each=${each%/*}
        (
            exec 8>>"$each/alive" && flock -n 8 && remove_login "$each" &&
                [ -f "$each/state" ] && rm -rf "$each/release"
        ) 2>/dev/null
    done
}
