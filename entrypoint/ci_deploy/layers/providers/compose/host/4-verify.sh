# shellcheck shell=sh
# Verifies a release: the containers run the wanted images, and stay up.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154

# The fields of each container: name, service, image id, status, exit code, restarts, start time,
# health, restart policy, published ports, healthcheck. The last one may contain any character.
CONTAINER='{{.Name}}|{{index .Config.Labels "com.docker.compose.service"}}|{{.Image}}|{{.State.Status}}|{{.State.ExitCode}}|{{.RestartCount}}|{{.State.StartedAt}}|{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}|{{.HostConfig.RestartPolicy.Name}}|{{len .HostConfig.PortBindings}}|{{json .Config.Healthcheck}}'

# verify [SERVICES]: wait until every replica of $made is verified; fails with $why as soon as one cannot
# be. If $among has ids of containers, only these count. (Compose's own `--wait` calls a crash loop healthy.)
verify() {
    clock
    only=${1:-} started=$clock url_trouble='' blind=0 looks=0 ids=''
    : >"$run/seen" && : >"$run/told" || return
    while :; do
        if ! look; then
            blind=$((blind + 1))
            engine_is_back && [ "$blind" -lt 300 ] && continue
            why="Docker does not report what runs"
            return 1
        fi
        blind=0
        judge "$only" "$(since "$started")" >"$run/verdict"
        grep '^good ' "$run/verdict" | while read -r _ name how; do
            grep -qx "$name" "$run/told" || { say "$name: $how" && echo "$name" >>"$run/told"; }
        done
        sed -n 's/^seen //p' "$run/verdict" >"$run/seen"
        if grep -q '^bad ' "$run/verdict"; then break; fi
        if ! grep -q '^wait ' "$run/verdict"; then
            [ -n "$only" ] || check_url && return
            break
        fi
        [ -n "$going_back" ] || ! cancelled || { why=$(reason) && return 1; }
        nap "$looks"
        looks=$((looks + 1))
    done
    why=${url_trouble:-$(sed -n 's/^bad //p' "$run/verdict" | head -n 1)}
    show_trouble
    return 1
}

# look: inspect all containers (or $among); those of the last query ($ids) as long as none of them is gone. Fails
# when the engine does not answer, which must not count as "no containers".
look() {
    # shellcheck disable=SC2086  # words
    if [ -n "$ids" ] && docker inspect -f "$CONTAINER" $ids >"$run/containers" 2>/dev/null; then return; fi
    ids=$(containers '{{.ID}}') && : >"$run/containers" || return
    [ -z "$among" ] || ids=$(echo "$ids" | grep -xF "$among")
    [ -n "$ids" ] || return 0
    # shellcheck disable=SC2086  # words
    docker inspect -f "$CONTAINER" $ids >"$run/containers" 2>/dev/null # fails when one has just gone
}

# engine_is_back: wait for the engine if it does not answer, which is no failure of the release. After
# that the time limits of `verify` begin anew.
engine_is_back() {
    pause
    ! engine_answers || return 0
    say "! Docker does not answer: waiting for it"
    away=yes
    wait_for_engine || return
    clock
    started=$clock
    : >"$run/seen"
}

# judge SERVICES SECONDS: print one line for each container: `good NAME HOW`, `wait NAME WHY` or
# `bad NAME: WHY`; `seen KEY SECONDS`, since when it has run without a restart; and `may SERVICE`
# for a service that may end by itself, since nothing shows that it is a server.
judge() {
    tasks=$(awk '/ task( |$)/ { print $1 }' "${made%/*}/services")
    awk -F '|' -v only=" $1 " -v elapsed="$2" -v steady="$steady" -v health="$health_timeout" \
        -v run_service="$run_service" -v amount="$(number "$among")" -v tasks=" $(echo "$tasks" | tr '\n' ' ')" -v deadline="$limit" '
        function ns(key, fallback) { # a duration of the healthcheck in seconds
            if (match($0, "\"" key "\":[0-9]+"))
                return substr($0, RSTART + length(key) + 3, RLENGTH - length(key) - 3) / 1e9
            return fallback
        }
        function limit() { # seconds until it has to be healthy
            if (health > 0) return health
            if (task) return deadline
            if (state == "none") return steady + 30
            return ns("StartPeriod", 0) + 10 + \
                (ns("Interval", 30) + ns("Timeout", 30)) * (match($0, /"Retries":[1-9]/) ? \
                substr($0, RSTART + 10, 3) + 0 : 3)
        }
        function patience() { # seconds in which it may end again and again: its database may not be up
            return health > 0 ? health : ns("StartPeriod", 0) + steady + 20
        }
        function say(verdict, how) { print verdict " " name (verdict == "bad" ? ": " : " ") how }
        FILENAME ~ /images$/ {
            split($0, word, " ")
            if (only == "  " || index(only, " " word[1] " ")) {
                replicas[word[1]] = amount > 0 ? amount : word[3]; wanted[word[1]] = word[4]
            }
            next
        }
        FILENAME ~ /seen$/ { split($0, word, " "); since[word[1]] = word[2]; next }
        !($2 in replicas) { next } # of another profile, or not asked for
        {
            name = substr($1, 2); service = $2; status = $4; code = $5; restarts = $6; state = $8
            task = index(tasks, " " service " ")
            server = !task && ($9 == "always" || $9 == "unless-stopped" || $10 > 0 || state != "none" || \
                service == run_service)
            if (!server) print "may " service
            count[service]++
            key = name "/" $7 "/" restarts
            if (!(key in since)) since[key] = elapsed
            print "seen " key " " since[key]
            if ($3 != wanted[service]) say("bad", "it runs " $3 " instead of " wanted[service])
            else if (restarts >= 3 && elapsed > patience()) say("bad", "it keeps exiting (exit code " code ")")
            else if (task && status == "running" && elapsed <= limit()) say("wait", "running none")
            else if (task && status == "running") say("bad", "not finished within " limit() " s")
            else if (status == "running" && state == "healthy") say("good", "healthy after " elapsed " s")
            else if (status == "running" && state == "none" && elapsed - since[key] >= steady)
                say("good", "has been running for " steady " s (it has no healthcheck)")
            else if (status == "running" && state == "unhealthy" && health == 0)
                say("bad", "unhealthy after " elapsed " s")
            else if (status == "exited" && code == 0 && !server) say("good", "ended with exit code 0: treated as a task")
            else if ((status == "exited" || status == "dead") && ($9 == "" || $9 == "no" || code == 0))
                say("bad", "ended with exit code " code)
            else if (elapsed > limit()) say("bad", "not verified within " int(limit()) " s (" status ", health: " state ")")
            else say("wait", status " " state)
        }
        END {
            for (service in replicas)
                if (count[service] + 0 != replicas[service])
                    print "bad " service ": it has " (count[service] + 0) " containers instead of " replicas[service]
        }' "$made/images" "$run/seen" "$run/containers"
}

# show_failed: after a failed `docker compose up`, show the tasks that failed and the unhealthy containers.
show_failed() {
    ids=
    look || return 0
    awk -F '|' '
        FILENAME ~ /images$/ { split($0, word, " "); wanted[word[1]] = word[4]; next }
        wanted[$2] != $3 { next }
        $4 == "restarting" || (($4 == "exited" || $4 == "dead") && $5 != 0) {
            print "bad " substr($1, 2) ": ended with exit code " $5
        }
        $8 == "unhealthy" { print "bad " substr($1, 2) ": unhealthy" }
    ' "$made/images" "$run/containers" >"$run/verdict"
    show_trouble
}

# show_trouble: print the last lines of the failing containers.
show_trouble() {
    sed -n 's/^bad \([^:]*\):.*/\1/p' "$run/verdict" | while read -r name; do
        docker inspect "$name" >/dev/null 2>&1 || continue
        mark trouble "$name"
        say "--- the last lines of $name"
        docker logs --tail 50 "$name" 2>&1
        docker inspect -f '{{if .State.Health}}{{range .State.Health.Log}}{{.ExitCode}} {{.Output}}
{{end}}{{end}}' "$name" 2>/dev/null | grep . | tail -n 3 | sed 's/^/healthcheck, exit code /'
        say "---"
        mark trouble_end
    done
}

# check_url: request COMPOSE_CHECK_URL from this host until it answers with 2xx.
check_url() {
    url_trouble=
    [ -n "$url" ] || return 0
    clock
    since=$clock answer=
    until ask; do
        waited "$since"
        if [ "$waited" -ge "$url_timeout" ] || cancelled; then
            url_trouble="$url answers ${answer:-nothing} after $waited s (COMPOSE_CHECK_URL)"
            return 1
        fi
        pause
    done
    say "$url answers ${answer:-OK}"
}
