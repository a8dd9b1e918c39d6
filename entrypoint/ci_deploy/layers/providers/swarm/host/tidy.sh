# shellcheck shell=sh
# tidy KIND:NAME…: remove services, configs and secrets. One that is still in use stays.
for each in "$@"; do
    docker "${each%%:*}" rm "${each#*:}" >/dev/null 2>&1 ||
        case ${each%%:*} in service) echo "${each#*:} could not be removed" ;; esac
done
exit 0
