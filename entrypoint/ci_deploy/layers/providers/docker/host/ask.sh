# shellcheck shell=sh
# Requests to the app from a host, with whichever program it has. The caller defines `clean`, which starts a program.
# shellcheck disable=SC2034,SC2154

# ask: request $url; sets $answer to the status, and fails unless that is 2xx.
ask() {
    if command -v curl >/dev/null; then
        answer=$(curl -s -o /dev/null -w '%{http_code}' --max-time 5 "$url" 2>/dev/null)
        [ "$answer" != 000 ] || answer='' # curl's word for no answer
    elif command -v wget >/dev/null; then
        wget -q -O /dev/null -T 5 "$url" 2>/dev/null && answer=200
    elif command -v bash >/dev/null; then # every Debian has it, and it can speak TCP
        # shellcheck disable=SC2016
        answer=$(clean timeout 5 bash -c '
            host=${1#http://} path=/${host#*/} host=${host%%/*} port=${host##*:}
            [ "$port" != "$host" ] || port=80
            exec 3<>"/dev/tcp/${host%:*}/$port" || exit
            printf "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n" "$path" "$host" >&3
            read -r _ code _ <&3 && echo "$code"' bash "$url" 2>/dev/null)
    else
        answer="nothing: this host has no curl, wget or bash for a request"
    fi
    case $answer in 2??) ;; *) return 1 ;; esac
}

# nobody_is_answered: whether $url gives no answer; says that nothing can be measured then.
nobody_is_answered() {
    answer=
    ask
    case $answer in 2?? | 3??) return 1 ;; esac
    echo "$url answers ${answer:-nothing} before the switch, so what clients see is not measured"
}

# ask_for_ever PID: print `asked answered status` for each request, in seconds of the monotonic clock, as long as
# that process lives and this one is not killed.
ask_for_ever() {
    IFS= read -r url
    [ -r /proc/uptime ] || return
    trap '' PIPE
    by_tcp=
    case $url in http://*) [ -z "${BASH_VERSION:-}" ] || by_tcp=yes ;; esac
    echo "$$" >&1
    while kill -0 "$1" 2>/dev/null; do
        read -r asked _ </proc/uptime
        answer=
        if [ "$by_tcp" = yes ]; then ask_by_tcp; else ask; fi 2>/dev/null
        read -r answered _ </proc/uptime
        echo "$asked $answered ${answer:-none}"
        sleep 0.05 2>/dev/null || sleep 1
    done
}

# ask_by_tcp: like `ask`, without another program; only in bash, and only for http. Reads only the status line.
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

# as_seen FILE NOW: print what a client saw until then, from the output of `ask_for_ever`.
as_seen() {
    awk -v now="$2" '
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
        if (failed) printf "no answer for %.1f s during the switch: %d of %d requests failed", away, failed, asked
        else if (asked) printf "%d requests during the switch, 0 failed", asked
        if (slowest >= 1) printf ", the slowest answer took %.1f s", slowest
    }' "$1"
}
