# shellcheck shell=sh
# lock FOLDER STACK SECONDS WHO: hold the lock for as long as stdin is open, so it ends with the job.
umask 077
cd "${1:-$HOME}" && mkdir -p .ci-deploy || exit 96
lock=.ci-deploy/$2.lock
exec 9>>"$lock"
flock -n 9 || {
    echo "waiting for $(cat "$lock.by" 2>/dev/null)"
    flock -w "$3" 9 || { echo busy; exit 75; }
}
printf '%s\n' "$4" >"$lock.by"
echo locked
exec cat >/dev/null
