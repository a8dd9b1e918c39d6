# shellcheck shell=sh
# What a client of the app sees while it is switched: the host itself asks it all the time.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154

# watch_client: begins to ask, unless nobody is answered already before: then there is nothing to tell.
watch_client() {
    if [ -z "$client_url" ] || [ -z "$(current)" ] || [ "$unasked" = yes ]; then return; fi
    if [ ! -f "$run/client" ]; then
        first=$(url=$client_url && ask; echo "$answer")
        case $first in
        2?? | 3??) ;;
        *)
            unasked=yes
            say "$client_url answers ${first:-nothing} before the switch, so what clients see is not measured"
            return
            ;;
        esac
    fi
    # bash can speak TCP by itself: 20 questions a second start no program but the `sleep` between them.
    shell='sh'
    case $client_url in http://*) ! command -v bash >/dev/null || shell=bash ;; esac
    printf '%s\n' "$client_url" |
        clean "$shell" "$base/${0##*/}" ask_for_ever $$ >>"$run/client" 2>/dev/null 9>&- 8>&- &
    asker=yes
}

# ask_for_ever PID: `asked answered status` for each request, by a clock that nobody sets, as long as that
# process lives and nobody wants it to end.
ask_for_ever() {
    IFS= read -r url
    [ -r /proc/uptime ] || return
    trap '' PIPE
    echo "$$" >&1
    while kill -0 "$1" 2>/dev/null; do
        read -r asked _ </proc/uptime
        answer=
        if [ -n "${BASH_VERSION:-}" ]; then ask_by_tcp; else ask; fi 2>/dev/null
        read -r answered _ </proc/uptime
        echo "$asked $answered ${answer:-none}"
        sleep 0.05 2>/dev/null || sleep 1
    done
}

# ask_by_tcp: only in bash, and only http. What the answer says after its status is not waited for.
ask_by_tcp() {
    authority=${url#http://} target=/
    case $authority in */*) target=/${authority#*/} authority=${authority%%/*} ;; esac
    port=80 name=$authority
    case $authority in *]) ;; *:*) port=${authority##*:} name=${authority%:*} ;; esac
    name=${name#[} name=${name%]}
    # shellcheck disable=SC3025  # bash
    { exec 3<>"/dev/tcp/$name/$port"; } || return 0
    printf 'GET %s HTTP/1.0\r\nHost: %s\r\n\r\n' "$target" "$authority" >&3
    # shellcheck disable=SC3045  # bash
    read -r -t 5 _ answer _ <&3
    exec 3>&-
}

# tell_client: stops asking, and says what was seen of the whole switch until now.
tell_client() {
    [ -n "$asker" ] || return 0
    asker=
    read -r moment _ </proc/uptime
    awk 'NF == 1 { print $1 }' "$run/client" | while read -r pid; do kill "$pid"; done 2>/dev/null
    client=$(awk -v now="$moment" '
        NF != 3 { next }
        { asked++; last = $2 }
        $3 ~ /^[23]/ {
            if (down != "") { away += $2 - down; down = "" }
            if ($2 - $1 > slowest) slowest = $2 - $1
            next
        }
        { failed++; if (down == "") down = $1 }
        END {
            if (asked && now - last > 2 && down == "") { down = last; failed++; asked++ }
            if (down != "") away += now - down
            if (failed) printf "not answered for %.1f s during the switch: %d of %d requests failed", away, failed, asked
            else if (asked) printf "%d requests during the switch, 0 failed", asked
            if (slowest >= 1) printf ", the slowest answer took %.1f s", slowest
        }' "$run/client")
    [ -n "$client" ] || return 0
    say "$client_url: $client"
    mark client "$client"
}
