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

# put FILE TEXT: whoever reads it sees the old text or the new one, never a half; and two jobs that
# write it at once do not take each other's half away.
put() { printf '%s\n' "$2" >"$1.$$" && mv -f "$1.$$" "$1"; }

say() { printf '%s\n' "$*"; }

# mark WORD…: a line for ci-deploy among the lines for people. The token is new for each run, so
# nothing that a container prints can pass for one.
mark() { printf '@%s %s\n' "$token" "$*"; }

# phase NAME: what is about to be done, written down before it is done.
phase() { put "$run/state" "$1" && mark phase "$1"; }

pause() { sleep 0.2 2>/dev/null || sleep 1; }

# nap COUNT: longer the longer somebody waits, since each look costs the host that serves the app.
nap() {
    if [ "$1" -lt 5 ]; then pause; elif [ "$1" -lt 15 ]; then sleep 0.5 2>/dev/null || sleep 1; else sleep 1; fi
}

now() { date -u +%Y-%m-%dT%H:%M:%SZ; }

# clock: seconds into $clock, by a clock that nobody sets. What is waited for or told must not depend on the
# other one: NTP corrects that by hours, and a machine that was suspended wakes up in the past.
clock() { read -r clock _ </proc/uptime; }

# waited SINCE: whole seconds into $waited.
waited() { clock && waited=$((${clock%.*} - ${1%.*})); }

# The time as the engine has it, with fractions of a second where this `date` knows them.
stamp() {
    stamp=$(date +%s.%N)
    case $stamp in *N*) date +%s ;; *) printf '%s\n' "$stamp" ;; esac
}

since() { awk -v from="$1" '{ printf "%.1f", $1 - from }' </proc/uptime; }

# current: the id of the release that was proven last; empty before the first.
current() {
    link=$(readlink "$home/current" 2>/dev/null) && printf '%s\n' "${link##*/}"
}

# audit OUTCOME: one line of the log that answers who put what there, and how it ended.
audit() {
    printf '{"at":"%s","host":"%s","run":"%s","action":"%s","release":"%s","from":"%s","outcome":"%s","seconds":%s,"stopped":%s,"client":"%s"%s}\n' \
        "$(now)" "$(uname -n)" "${run##*/}" "$action" "$release" "${from:-}" "$1" \
        "$(since "$began")" "${stopped:-0}" "$client" "$(cat "$run/meta" 2>/dev/null)" >>"$home/audit.jsonl" ||
        say "! the audit log cannot be written: is the disk full?"
}

# finish OUTCOME TEXT: the end of a run. The result is in a file, since no exit code of ssh can be
# trusted with it.
finish() {
    # Where nothing was touched, what was broken before still is.
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

# --- words from the CI job ---

# cancelled: everything has to be as it was, and why.
cancelled() { [ -f "$run/word.back" ]; }
reason() { cat "$run/word.back" 2>/dev/null || echo "lost contact with the CI job"; }

# gate WORD: in a deploy to several hosts, wait until the job lets this one go on. The job says `keep`
# when all have proven the release, and nothing else makes it stay: whoever hears nothing for too long
# goes back, or is still as it was. So no two hosts end with different releases, whatever becomes of
# the job and of the others.
gate() {
    [ "$gates" = yes ] || return 0
    mark gate "$1"
    wait_for "$1"
}

# beat FILE: that somebody is there, now.
beat() { clock && echo "$clock" >"$1"; }

# wait_for WORD: fails when the job wants everything as it was, or says nothing for too long: a
# fifth of that is enough when another run waits for the lock, which a killed job would keep from it.
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

# The kernel's lock ends with the processes that hold it: nobody ever has to unlock anything. A
# running `docker compose` inherits it, so that it is not free while something still changes.
take_lock() {
    exec 9>>"$home/lock"
    clock
    tries=0 told='' first=$clock
    until flock -n 9; do
        waited "$first"
        [ "$waited" -lt "$lock_timeout" ] || finish locked "held by $(holder)"
        ! cancelled || finish unchanged "$(reason)"
        tries=$((tries + 1)) # somebody may only have looked whether it is free
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
