# shellcheck shell=sh
# tidy KIND:NAME…: remove services, configs and secrets. One that is in use stays; for a service that
# stays, prints `left NAME REASON`.
for each in "$@"; do
    said=$(docker "${each%%:*}" rm "${each#*:}" 2>&1) ||
        case ${each%%:*} in service) echo "left ${each#*:} $(echo "$said" | tail -n 1)" ;; esac
done
exit 0
