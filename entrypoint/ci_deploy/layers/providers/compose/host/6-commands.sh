# shellcheck shell=sh
# Queries and small changes; ci-deploy calls each of these functions over ssh by its name.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154

ROW='{{.Names}}|{{.Label "com.docker.compose.service"}}|{{.ID}}|{{.State}}|{{.Status}}|{{.Label "com.docker.compose.oneoff"}}|{{.Label "com.docker.compose.project"}}|{{.Label "com.docker.compose.project.working_dir"}}|{{.Label "com.docker.compose.project.config_files"}}|{{.Label "ci-deploy.review"}}'

# probe APP PROJECT SUM: print all that a deploy has to know; changes nothing. Stdin is a tar with the compose
# files (`list`, `files/`, the environment), or empty; PROJECT is `-` unless COMPOSE_PROJECT_NAME is set. Reading stdin
# takes a round trip, so files that the current release has too (by SUM, see `sum_of`) are taken from it.
probe() {
    enter "$1"
    tmp=${4:-$(mktemp -d "${TMPDIR:-/tmp}/ci-deploy-probe.XXXXXX")} || exit
    trap 'rm -rf "$tmp"' EXIT
    exec 6>>"$tmp/alive"
    flock 6 2>/dev/null
    forget_old_probes
    sum=$3
    dir=$home/releases/$(current) # not by the link, which may be another one in a moment
    if [ ! -f "$dir/list" ] || [ "$(sum_of "$dir")" != "$sum" ]; then
        dir=$tmp
        [ -n "${4:-}" ] || tar -x -f - -C "$tmp" 2>/dev/null
    fi
    # The slow queries at the same time.
    rows com.docker.compose.project >"$tmp/ps" 2>"$tmp/ps.errors" &
    if [ -f "$dir/list" ]; then
        if [ "$2" = - ]; then set --; else set -- -p "$2"; fi
        describe "$@" &
    fi
    echo "path $path"
    [ -z "$(command -v docker)" ] || echo "docker yes"
    [ -z "$(command -v docker-compose)" ] || echo "standalone $(docker-compose version --short 2>/dev/null)"
    for program in flock setsid awk sed tar sha256sum; do
        command -v "$program" >/dev/null || echo "missing $program"
    done
    grep -qs '^KillUserProcesses=yes' /etc/systemd/logind.conf /etc/systemd/logind.conf.d/*.conf &&
        echo "kills yes"
    state_of_app
    [ -z "$review" ] || beside
    wait
    if [ -s "$tmp/model" ]; then really <"$tmp/model" >"$tmp/real" && mv "$tmp/real" "$tmp/model"; fi
    sources
    { while read -r file; do cat "$dir/files/$file"; done <"$dir/list"; } 2>/dev/null |
        unset_variables "$tmp/model.errors" "$tmp/made/env"
    sed 's/^/engine /' "$tmp/ps.errors" | head -n 3
    sed 's/^/container /' "$tmp/ps"
    cut -d '|' -f 8 "$tmp/ps" | sort -u | while IFS= read -r folder; do
        [ ! "$folder" -ef "$path" ] || echo "here $folder"
    done
    # A Compose that prints a model is new enough; asking for its version takes as long as all the rest.
    [ -s "$tmp/model" ] && [ "$sum" != - ] || echo "compose $(docker compose version --short 2>/dev/null)"
    if [ -s "$tmp/model" ]; then
        if grep -q '"order": "start-first"' "$tmp/model"; then
            cut -d '|' -f 3 "$tmp/ps" | grep . | sort -u | while read -r image; do
                docker image inspect -f '{{range $path, $_ := .Config.Volumes}}image_volume {{$.Id}} {{$path}}
{{end}}' "$image" 2>/dev/null | grep .
            done
        fi
        if grep -q '"external": true' "$tmp/model"; then
            docker network ls --format 'network {{.Name}}'
            docker volume ls --format 'volume {{.Name}}'
        fi
        echo model && cat "$tmp/model" && echo
        if [ -s "$tmp/raw" ]; then echo raw && cat "$tmp/raw" && echo; fi
        if [ -s "$tmp/all" ]; then echo all && cat "$tmp/all"; fi
        return
    fi
    [ ! -f "$tmp/model" ] ||
        sed "/level=warning/d; s|$dir/files/||g; s/^/refused /" "$tmp/model.errors" | really | tail -n 5
}

# rows LABEL: print ROW of each container with this label, with the id of its image instead of its own. (Compose's label
# with the image is a different digest where an image is an index, in the containerd image store.)
rows() {
    listed=$(docker ps -a --no-trunc --filter "label=$1" --format "$ROW") || return
    [ -n "$listed" ] || return 0
    # shellcheck disable=SC2046  # words
    ids=$(docker inspect -f '{{.Id}}|{{.Image}}' $(printf '%s\n' "$listed" | cut -d '|' -f 3) 2>&1)
    printf '%s\n' "$ids" "$listed" | awk -F '|' -v OFS='|' '
        NF < 2 { if (!/No such/) print | "cat >&2"; next } # one that has just been removed is no error
        NF == 2 { image[$1] = $2; next }
        { $3 = image[$3]; print }'
}

# forget_old_probes: remove the directories of killed queries, which contain configuration.
forget_old_probes() {
    find "${tmp%/*}" -maxdepth 1 -name 'ci-deploy-probe.*' -user "$(id -u)" -mmin +1 2>/dev/null |
        while IFS= read -r each; do
            (exec 6>>"$each/alive" && flock -n 6 && rm -rf "$each") 2>/dev/null
        done
}

# describe WORD…: write how Compose reads the files in $dir with the release's environment: `model`. The
# form before variables are replaced (`raw`) has what that lacks: which images' names contain DEPLOY_TAG,
# which services have an env_file or a profile. If Compose cannot print that, `all` has the profiles.
describe() {
    mkdir "$tmp/made" && release_env "$dir" >"$tmp/made/env" || return
    # APP_CONFIG stands for an .env that is missing; Compose insists that there is one.
    # Files of the release that it reads are laid over what is there in the same way.
    wants_env=
    if [ -s "$dir/app.env" ] || [ -n "$review" ]; then [ -e "$path/.env" ] || wants_env=yes; fi
    if [ -n "$wants_env" ] || [ -f "$dir/reads" ]; then
        inside=$tmp/made/$(basename "$path")
        mkdir "$inside"
        ln -s "$path"/* "$path"/.[!.]* "$inside" 2>/dev/null
        [ -z "$wants_env" ] || : >"$inside/.env"
        ln -s "$path"/../* "$tmp/made" 2>/dev/null
        [ ! -f "$dir/reads" ] || while IFS= read -r name; do lay_over "$inside" "$name"; done <"$dir/reads"
        path=$inside
    fi
    files "$dir" --profile '*' "$@" config --no-interpolate --format json >"$tmp/raw" 2>/dev/null &
    set -- --env-file "$tmp/made/env" "$@"
    files "$dir" "$@" config --format json 2>"$tmp/model.errors" | without_values >"$tmp/model"
    wait
    [ -s "$tmp/raw" ] && [ -z "$review" ] || files "$dir" --profile '*' "$@" config --format json 2>/dev/null |
        without_values >"$tmp/all"
}

# lay_over DIR NAME: put a file of the release into DIR, which otherwise has links to DEPLOY_PATH's files.
lay_over() {
    at=$1 rest=$2
    while :; do
        case $rest in */*) ;; *) break ;; esac
        at=$at/${rest%%/*} rest=${rest#*/}
        if [ -L "$at" ]; then
            real=$(readlink "$at")
            rm "$at" && mkdir "$at"
            ln -s "$real"/* "$real"/.[!.]* "$at" 2>/dev/null
        fi
        mkdir -p "$at"
    done
    rm -f "$at/$rest"
    cp "$dir/read/$2" "$at/$rest"
}

# really: replace paths in the temporary directory, where the files were read, by those in DEPLOY_PATH.
really() {
    awk -v from="$tmp/made/" -v to="${path%/*}/" '{
        while (i = index($0, from)) $0 = substr($0, 1, i - 1) to substr($0, i + length(from))
        print
    }'
}

# sources: print whether the files and directories that containers mount exist, and the content of the
# directories; nothing about a path that this user may not read.
sources() {
    sed -n 's/^ *"\(source\|file\)": "\(\/[^"]*\)",*$/\2/p' "$tmp/model" 2>/dev/null | sort -u |
        while IFS= read -r each; do
            if [ -d "$each" ]; then
                if [ -w "$each" ]; then echo "there d $each"; else echo "there r $each"; fi
                case $each in "$path"/?*)
                    { find "$each" ! -type d 2>/dev/null || echo "$each/?"; } | head -n 300 |
                        sed 's/^/own /'
                    ;;
                esac
            elif [ -e "$each" ]; then
                echo "there f $each"
            else
                up=${each%/*}
                until [ -e "$up/" ]; do up=${up%/*}; done
                [ ! -x "$up/" ] || echo "there - $each"
            fi
        done
}

# without_values: keep only the parts of Compose's description that a deploy needs, without the app's values.
without_values() {
    awk -v told="$TOLD${review:+|labels|external_links|environment}" -v review="$review" '
        /^  "/ { section = $1; known = $1 ~ /^"(name|services|networks|volumes|configs|secrets)":/ }
        /^  [^ ]/ || /^[^ ]/ { keep = 1 }
        /^    [^ ]/ { keep = 1 }
        /^      "/ {
            hidden = 0
            part = $1
            if (section == "\"services\":") keep = $1 ~ "^\"(" told ")\":"
            else keep = $1 ~ /^"(name|external|file)":/ || (review && $1 ~ /^"(ipam|driver_opts)":/)
            if ($1 ~ /^"(healthcheck|pre_stop|post_start|build)":/) print "      " $1 " true," # how is not told
        }
        /^        "labels": \{$/ { hidden = 1 } # of `deploy`
        hidden { if (/^        }/) hidden = 0; next }
        /^        "/ { # for a review app: where it is reached, and addresses without who logs in
            if (part == "\"labels\":" && !/^ *"(traefik\.|caddy(_[0-9]+)?":)/) next
            if (part == "\"driver_opts\":" && !/^ *"(device|type)":/) next
            if (part == "\"environment\":") {
                if (!/^ *"[^"]*": "[a-z][a-z0-9+.-]*:\/\//) next
                sub(/:\/\/.*@/, "://")
                sub(/\?[^"]*"/, "\"")
            }
        }
        /^[^ ]/ || (known && keep)'
}
TOLD='image|pull_policy|depends_on|links|profiles|restart|ports|volumes|configs|secrets|deploy|scale'
TOLD="$TOLD|container_name|network_mode|networks|mac_address|ipc|pid|volumes_from|tmpfs"

# sum_of DIR: print a hash of its compose files and its environment, to compare it with others.
sum_of() {
    {
        sed 's|^|files/|' "$1/list"
        [ ! -f "$1/reads" ] || sed 's|^|read/|' "$1/reads"
        echo app.env
        echo tag.env
    } | while read -r file; do
        echo "$file" && sha256sum <"$1/$file"
    done | sha256sum | cut -d ' ' -f 1
}

# status APP: print what runs, for a run that has failed or was cancelled: a part of `probe`.
status() {
    enter "$1"
    echo "path $path"
    rows "com.docker.compose.project=$project" |
        sed 's/^/container /'
    state_of_app
}

# state_of_app: print what is live, what is unfinished, who holds the lock, and the earlier releases.
state_of_app() {
    for each in "$base"/apps/*/project; do
        [ -f "$each" ] || continue
        each=${each%/project}
        echo "app ${each##*/} $(cat "$each/project")"
    done
    echo "env $(env_sum)"
    [ -d "$home" ] || return 0
    id=$(current)
    if [ -n "$id" ]; then
        echo "current $id"
        echo "known_env $(cat "$home/releases/$id/proven/env")"
        sed 's/^/image /' "$home/releases/$id/proven/images"
        sed 's/^/task /' "$home/releases/$id/proven/tasks"
    fi
    [ ! -f "$home/pending" ] || echo "pending $(cat "$home/pending")"
    [ ! -f "$home/restoring" ] || echo "restoring $(head -n 1 "$home/restoring")"
    # (A run with an outcome only cleans up. A shared lock, so that two queries do not see each other.)
    (exec 9>>"$home/lock" && flock -sn 9) ||
        [ -f "$home/runs/$(cat "$home/holder" 2>/dev/null)/outcome" ] || echo "holder $(holder)"
    [ ! -s "$home/note" ] || echo "note $(cat "$home/note")"
    last_run
    [ ! -f "$run/outcome" ] || [ -f "$run/witnessed" ] ||
        echo "unreported $(cat "$run/title"): $(cat "$run/outcome")"
    for each in "$home"/releases/*/release.json; do
        [ -f "$each" ] || continue
        echo "release $(cat "${each%/*}/live" 2>/dev/null || echo 0) $(cat "$each")"
    done
    tail -n 100 "$home/audit.jsonl" 2>/dev/null | sed 's/^/audit /'
}

# last_run: set $run to the last run, or empty. Their names begin with the time.
last_run() {
    run=
    for each in "$home"/runs/*; do run=$each; done
}

# follow APP RUN LINE WORDS: print the log from a line on as `NUMBER|text`, until the run has ended. WORDS is
# `yes` when the job sends messages on stdin: `beat`, `leave`, `seen`, those of `wait_for`, `back WHY`.
follow() {
    enter "$1"
    run=$home/runs/$2 seen=$3
    load "$run/settings"
    listener=
    if [ "$4" = yes ]; then
        exec 3<&0
        listen <&3 &
        listener=$!
        trap 'kill $listener 2>/dev/null' EXIT
    fi
    # Read by the shell itself, so that each turn starts no program but `sleep`.
    exec 4<"$run/log"
    skipped=0
    while [ "$skipped" -lt "$seen" ] && read -r _ <&4; do skipped=$((skipped + 1)); done
    clock
    last=$clock turn=0 part=''
    while :; do
        # Asked before the log is read, so that no line is missed; for a killed run once a second.
        if [ -f "$run/outcome" ] || [ "$turn" = 0 ]; then ended=$(how_ended); fi
        turn=$(((turn + 1) % 5))
        while IFS= read -r line <&4; do
            seen=$((seen + 1))
            printf '%s\n' "$seen|$part$line"
            part=
        done
        part=$part$line
        if [ -n "$ended" ]; then
            echo "@$token ended $ended"
            # A job says that it has seen it; one that was killed has not.
            if [ -n "$listener" ]; then wait "$listener"; else : >"$run/witnessed"; fi
            return
        fi
        [ -z "$listener" ] || kill -0 "$listener" 2>/dev/null || return 0
        # A sign of life; and when nobody listens any more, the broken pipe ends us.
        if [ "$turn" = 0 ] && waited "$last" && [ "$waited" -ge 5 ]; then
            last=$clock
            echo "@$token tick $(cat "$run/state")"
        fi
        pause
    done
}

# how_ended: print the outcome; `died` for a run that was killed; nothing while it runs.
how_ended() {
    cat "$run/outcome" 2>/dev/null && return
    if (exec 8>>"$run/alive" && flock -n 8); then
        cat "$run/outcome" 2>/dev/null || echo died
    fi
}

listen() {
    while read -r word rest; do
        case $word in
        leave) return ;;
        seen)
            : >"$run/witnessed"
            return
            ;;
        beat) beat "$run/beat" ;;
        *) put "$run/word.$word" "$rest" ;;
        esac
    done
}

# tell APP RUN TEXT WORD…: send messages without following the run; TEXT is the reason of `back`.
tell() {
    enter "$1"
    run=$home/runs/$2 text=$3
    shift 3
    if [ ! -d "$run" ] || [ -f "$run/outcome" ]; then return 0; fi
    for word in "$@"; do put "$run/word.$word" "$text"; done
}

# watch APP: follow the last run's log, for people.
watch() {
    enter "$1"
    last_run
    follow "$1" "${run##*/}" 0 no |
        while IFS= read -r line; do
            case $line in
            *'|@'* | @*' tick '*) ;;
            @*) printf '%s\n' "${line#@* }" ;;
            *) printf '%s\n' "${line#*|}" ;;
            esac
        done
}

# one_off APP CONTAINER SERVICE: run a command in the live release, with its true exit code. Stdin is
# the environment as Compose reads it, in one line, then shell text that sets "$@".
# The container is detached, so that a cut connection does not end the command.
one_off() {
    enter "$1"
    container=$2 svc=$3
    IFS= read -r environment
    words=$(cat)
    id=$(current)
    if [ -z "$id" ]; then
        echo "ci-deploy: no release was deployed on this host yet" >&2
        exit 125
    fi
    made=$home/releases/$id/proven
    write_override "$made" # what it says of tags may be old
    extra=$home/one-off.$container # locked as long as we live: see forget_one_offs
    new=$home/.one-off.$container
    exec 7>"$new" && flock 7 && mv "$new" "$extra" || exit 125 # never there without its lock
    trap 'rm -f "$extra"' EXIT
    printf '%s\n' "$environment" >"$extra"
    eval "$words"
    compose "$made" -f "$extra" run -d --name "$container" --no-deps -T "$svc" "$@" \
        >/dev/null || exit 125
    : >"$extra"
    docker logs -f "$container"
    code=$(docker wait "$container") || exit 255
    docker rm "$container" >/dev/null
    exit "$code"
}

# forget_one_offs: remove the containers of ended commands whose connection was cut.
forget_one_offs() {
    for each in "$home"/one-off.*; do
        [ -f "$each" ] || continue
        (exec 7>>"$each" && flock -n 7) || continue
        : >"$each"
        name=${each##*/one-off.}
        docker rm "$name" >/dev/null 2>&1 # not while it runs
        docker inspect -f '{{.State.Status}}' "$name" >/dev/null 2>&1 || rm -f "$each"
    done
}

# process APP ACTION SERVICE COUNT: start, stop, restart or scale (to COUNT) a service of the live release.
process() {
    enter "$1"
    exec 9>>"$home/lock" # not while a deploy is switching
    flock 9
    made=$home/releases/$(current)/proven
    lay "$home/releases/$(current)"
    case $2 in
    scale)
        compose "$made" up -d --no-build --no-recreate --no-deps --scale "$3=$4" "$3" || exit
        awk -v name="$3" -v count="$4" '$1 == name { $3 = count } { print }' "$made/images" \
            >"$made/images.new" && mv -f "$made/images.new" "$made/images"
        ;;
    *) compose "$made" "$2" "$3" ;;
    esac
}

# forget_commands APP: forget which commands before traffic have succeeded, so that they run again. A
# failed one stays recorded, since its container still exists.
forget_commands() {
    enter "$1"
    for each in "$home"/releases/*/step.*; do
        [ "$(cat "$each" 2>/dev/null)" != 0 ] || rm -f "$each"
    done
}

# note APP: store stdin as the record of pending tasks; empty stdin removes it.
note() {
    enter "$1"
    mkdir -p "$home"
    cat >"$home/note.$$" && mv -f "$home/note.$$" "$home/note"
}

# recover_all: for an @reboot line in the user's crontab: finish or roll back what a reboot has
# interrupted in any app, without waiting for the next deploy.
recover_all() {
    wait_for_engine || exit
    for place in "$top" "$top"/.ci-deploy/reviews/*; do
        path=$place base=$place/.ci-deploy review=${place##*/}
        [ "$place" != "$top" ] || review=
        for pending in "$base"/apps/*/pending; do
            [ -f "$pending" ] || continue
            pending=${pending%/pending}
            recover_one "${pending##*/}"
        done
    done
}

recover_one() {
    enter "$1"
    read -r _ open_run <"$home/pending"
    left=$home/runs/$open_run run=$home/runs/$(date -u +%Y%m%dT%H%M%S).000-boot
    mkdir "$run" || return
    sed 's/^action .*/action recover/; s/^gates .*/gates no/' "$left/settings" >"$run/settings"
    echo "cleaning up after a restart" >"$run/title"
    put "$run/state" queued
    exec 8>>"$run/alive" && flock 8
    sh "$me" ${review:+within "$review"} run "$app" "${run##*/}" >>"$run/log" 2>&1 </dev/null
    exec 8>&-
}
