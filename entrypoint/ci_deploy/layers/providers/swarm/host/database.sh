# shellcheck shell=sh
# database FOLDER STACK RELEASE ACTION WORD…, after databases.sh: list, make or restore dumps on this node.
# shellcheck disable=SC2034,SC2154
umask 077
cd "${1:-$HOME}" || exit 96
base=$PWD/.ci-deploy app=$2 release=$3 action=$4
shift 4
say() { printf '%s\n' "$*"; }
current() { echo "$release"; }
server_of() {
    found=$(docker ps -q --no-trunc --filter status=running --filter "label=com.docker.swarm.service.name=${app}_$1" | head -n 1)
    [ -n "$found" ] || { say "$1 is not running on this node" && false; }
}
case $action in
list) list_backups ;;
dump)
    while [ $# -gt 1 ]; do
        back_up "$1" "$2" || exit 1
        shift 2
    done
    ;;
restore)
    # A lost connection does not stop this; a run that finishes the restore waits for it, by the lock.
    trap '' PIPE HUP
    note=$base/backups/$app/restoring
    [ -f "$base/backups/$app/$1.sql.gz" ] || { say "there is no backup $1 on this node" && exit 3; }
    exec 9>>"$note.lock" && flock 9
    run=$(mktemp -d "$base/.in.XXXXXX") || exit 3
    trap 'rm -rf "$run"' EXIT
    known=$(known_before "$note" "$1")
    printf '%s\n' "$1${known:+
$known}" >"$note"
    read -r kind svc _ <"$base/backups/$app/$1.about" && server_of "$svc" || exit 3
    server=$found
    bring_back "$note"
    restored=$?
    if [ "$restored" != 2 ]; then
        rm -f "$note" "$note.lock"
        forget_backups "$svc" "$1"
    fi
    exit "$restored"
    ;;
esac
