# shellcheck shell=sh
# What a client of the app sees while it is switched: the host itself asks it all the time (ask.sh).
# shellcheck disable=SC2030,SC2031,SC2034,SC2154

# watch_client: begins to ask, unless nobody is answered already before: then there is nothing to tell.
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

# tell_client: stops asking, and says what was seen of the whole switch until now.
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
