# shellcheck shell=sh
# Measures what a client of the app sees during the switch: the host itself sends requests (ask.sh).
# shellcheck disable=SC2030,SC2031,SC2034,SC2154

# watch_client: start the requests; not if the app gives no answer before the switch either.
watch_client() {
    if [ -z "$client_url" ] || [ -z "$(current)" ] || [ "$unasked" = yes ]; then return; fi
    if [ ! -f "$run/client" ]; then
        if unmeasured=$(url=$client_url && nobody_is_answered); then
            unasked=yes
            say "$unmeasured"
            return
        fi
    fi
    # bash can speak TCP by itself: 20 questions a second start no program but the `sleep` between them.
    shell='sh'
    case $client_url in http://*) ! command -v bash >/dev/null || shell=bash ;; esac
    printf '%s\n' "$client_url" |
        clean "$shell" "$base/${0##*/}" ask_for_ever $$ >>"$run/client" 2>/dev/null 9>&- 8>&- &
    asker=yes
}

# tell_client: stop the requests, and log the result for the whole switch until now.
tell_client() {
    [ -n "$asker" ] || return 0
    asker=
    read -r moment _ </proc/uptime
    awk 'NF == 1 { print $1 }' "$run/client" | while read -r pid; do kill "$pid"; done 2>/dev/null
    client=$(as_seen "$run/client" "$moment")
    [ -n "$client" ] || return 0
    say "$client_url: $client"
    mark client "$client"
}
