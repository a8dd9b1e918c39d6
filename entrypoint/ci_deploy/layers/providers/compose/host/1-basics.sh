#!/bin/sh
# What ci-deploy runs on a Docker host. Nothing else is installed there: POSIX sh, awk, sed, tar,
# flock and setsid (util-linux or busybox), Docker Engine with Compose 2 or newer.
#
# The files 1-basics.sh to 7-run.sh, and ask.sh, which swarms have too, are one program: ci-deploy
# joins them in this order and uploads the result once per version as
# DEPLOY_PATH/.ci-deploy/runner-HASH.sh. It is started in DEPLOY_PATH. docs/compose.md describes the
# files that it keeps there.
#
# Why all this runs here and not in the CI job: a job may be cancelled at any moment, and a
# `docker compose up` that dies between "old one stopped" and "new one started" is an outage.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154  # variables of one file are used in the others

# A function whose body is in ( ) runs in a subshell: what it sets is its own.
set -u
umask 077 # everything kept here is for the owner only: releases hold the app's configuration

top=$PWD
path=$top
base=$path/.ci-deploy
me=$top/.ci-deploy/${0##*/}
review=

# within APP FUNCTION…: a review app has a directory of its own, with all that belongs to it.
within() {
    review=$1 path=$top/.ci-deploy/reviews/$1
    base=$path/.ci-deploy
    shift
    "$@"
}

# enter APP: where the files of one app are.
enter() {
    app=$1
    home=$base/apps/$app
    project=$(cat "$home/project" 2>/dev/null)
}

# load FILE: `key value` lines into variables. The keys are ours, the values never run.
load() {
    while read -r key value; do
        case $key in '' | *[!a-z_]*) ;; *) eval "$key=\$value" ;; esac
    done <"$1"
}

# put FILE TEXT: write it atomically. The temporary file has the shell's id in its name, so that two
# jobs that write at once do not use the same one.
put() { printf '%s\n' "$2" >"$1.$$" && mv -f "$1.$$" "$1"; }

say() { printf '%s\n' "$*"; }

# mark WORD…: a line for ci-deploy among the lines for people. The token is new for each run, so
# nothing that a container prints can pass for one.
mark() { printf '@%s %s\n' "$token" "$*"; }

# phase NAME: record what the run is about to do.
phase() { put "$run/state" "$1" && mark phase "$1"; }

pause() { sleep 0.2 2>/dev/null || sleep 1; }

# nap COUNT: a pause that grows with the number of attempts, since each query costs the host that
# serves the app.
nap() {
    if [ "$1" -lt 5 ]; then pause; elif [ "$1" -lt 15 ]; then sleep 0.5 2>/dev/null || sleep 1; else sleep 1; fi
}

now() { date -u +%Y-%m-%dT%H:%M:%SZ; }

# clock: set $clock to seconds of the monotonic clock. No wait and no duration may depend on the wall clock:
# NTP corrects it, by hours after a suspend.
clock() { read -r clock _ </proc/uptime; }

# waited SINCE: set $waited to the whole seconds since then.
waited() { clock && waited=$((${clock%.*} - ${1%.*})); }

# The wall clock, which the engine uses, with fractions of a second where this `date` supports them.
stamp() {
    stamp=$(date +%s.%N)
    case $stamp in *N*) date +%s ;; *) printf '%s\n' "$stamp" ;; esac
}

since() { awk -v from="$1" '{ printf "%.1f", $1 - from }' </proc/uptime; }

# current: the id of the release that was verified last; empty before the first.
current() {
    link=$(readlink "$home/current" 2>/dev/null) && printf '%s\n' "${link##*/}"
}

# audit OUTCOME: append a line to the audit log: who deployed what, and how that ended.
audit() {
    printf '{"at":"%s","host":"%s","run":"%s","action":"%s","release":"%s","from":"%s","outcome":"%s","seconds":%s,"stopped":%s,"client":"%s"%s}\n' \
        "$(now)" "$(uname -n)" "${run##*/}" "$action" "$release" "${from:-}" "$1" \
        "$(since "$began")" "${stopped:-0}" "$client" "$(cat "$run/meta" 2>/dev/null)" >>"$home/audit.jsonl" ||
        say "! the audit log cannot be written: is the disk full?"
}

# finish OUTCOME TEXT: end the run. The result goes to a file, since the exit code of ssh does not
# say whether it is the command's.
finish() {
    # This run touched nothing, so what an earlier run left broken still is.
    case "$1 $unhealed" in
    'failed '?* | 'unchanged '?* | 'refused '?*) set -- broken "$2; $unhealed" ;;
    esac
    [ -z "$locked" ] || lay "$home/releases/$(current)" # a try that was not switched to has laid its own
    [ "$1" = interrupted ] || audit "$1"
    mark end "$*"
    put "$run/outcome" "$*"
    forget_login
    rm -rf "$run/release"
    clean_up
    exit 0
}

# --- messages from the CI job: files `word.NAME` ---

# cancelled: whether the job has said `back`: the host must run the previous release again.
cancelled() { [ -f "$run/word.back" ]; }
reason() { cat "$run/word.back" 2>/dev/null || echo "lost contact with the CI job"; }

# gate WORD: in a deploy to several hosts, wait at a barrier until the job opens it. The job says `keep`
# when all hosts have verified the release, and only then does a host keep it: one that loses contact
# rolls back, or has not switched yet. So all hosts end with the same release, even if the job or one
# of them is killed.
gate() {
    [ "$gates" = yes ] || return 0
    mark gate "$1"
    wait_for "$1"
}

# beat FILE: record the time of a sign of life.
beat() { clock && echo "$clock" >"$1"; }

# wait_for WORD: wait for that message. Fails when the job says `back`, or nothing for $patience
# seconds; a fifth of that when another run waits for the lock, which a killed job would block.
wait_for() {
    beat "$run/beat"
    while [ ! -f "$run/word.$1" ]; do
        ! cancelled || return 1
        read -r heard _ <"$run/beat" # empty at the very moment of being written
        clock && waited "${heard:-$clock}"
        if [ "$waited" -gt "$patience" ] || { [ "$waited" -gt $((patience / 5)) ] && somebody_waits; }; then
            say "! no contact with the CI job for $waited s"
            return 1
        fi
        pause
    done
}

somebody_waits() {
    { read -r queued _ <"$home/queue"; } 2>/dev/null && [ $((${clock%.*} - ${queued%.*})) -lt 5 ]
}

# --- the lock ---

# The kernel releases the lock when the processes that hold it end, so it never has to be removed. A
# running `docker compose` inherits it, so that it is not free while something still changes.
take_lock() {
    exec 9>>"$home/lock"
    clock
    tries=0 told='' first=$clock
    until flock -n 9; do
        waited "$first"
        [ "$waited" -lt "$lock_timeout" ] || finish locked "the lock is held by $(holder)"
        ! cancelled || finish unchanged "$(reason)"
        tries=$((tries + 1)) # at the first, another job may only have tested whether it is free
        if [ "$tries" -gt 1 ] && [ "$told" != "$(holder)" ]; then
            told=$(holder)
            say "waiting for $told"
        fi
        beat "$home/queue"
        nap "$tries"
    done
    locked=yes
    put "$home/holder" "${run##*/}"
    mark locked
}

# holder: who has the lock, in words.
holder() {
    other=$home/runs/$(cat "$home/holder" 2>/dev/null)
    printf '%s' "$(cat "$other/title" 2>/dev/null), $(cat "$other/state" 2>/dev/null)"
}
