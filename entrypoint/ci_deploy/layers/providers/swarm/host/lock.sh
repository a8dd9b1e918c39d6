# shellcheck shell=sh
# lock FOLDER STACK SECONDS WHO: hold the lock for as long as stdin is open, so it ends with the job.
# Prints `waiting TAB HOLDER` while another job has it, then `locked` or `busy`.
umask 077
cd "${1:-$HOME}" && mkdir -p .ci-deploy || exit 96
lock=.ci-deploy/$2.lock
while :; do
    exec 9>>"$lock"
    flock -n 9 || {
        printf 'waiting\t%s\n' "$(head -n 1 "$lock.by" 2>/dev/null)"
        flock -w "$3" 9 || { echo busy; exit 75; }
    }
    # The job that held it may have removed the stack, and with it this file.
    [ "$(stat -L -c %i "/proc/$$/fd/9")" != "$(stat -c %i "$lock" 2>/dev/null)" ] || break
done
printf '%s\n' "$4" >"$lock.by"
echo locked
exec cat >/dev/null
