# shellcheck shell=sh
# scale SERVICE=COUNT…: and wait until nothing runs any more of those that are to be gone.
said=$(docker service scale --detach "$@" 2>&1) || { echo "$said"; exit 1; }
for each in "$@"; do
    [ "${each##*=}" = 0 ] || continue
    while docker service ps --format '{{.CurrentState}}' "${each%=*}" |
        grep -qE '^(Running|Starting|Preparing|Ready|Assigned|Accepted)'; do
        sleep 0.3
    done
done
