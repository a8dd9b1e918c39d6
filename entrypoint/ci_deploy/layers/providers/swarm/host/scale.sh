# shellcheck shell=sh
# scale FOLDER STACK SECONDS NOWHERE SERVICE=COUNT…: scale services, and wait until those with 0 do not run any
# more. A service on every node has no count: `none` adds a constraint that no node meets, `every` removes it.
# Waits for a `docker stack deploy` of a killed job first, which would start them again.
seconds=$3 nowhere=$4 counted=
cd "${1:-$HOME}" && mkdir -p .ci-deploy || exit 96
exec 8>>".ci-deploy/$2.apply"
flock -w "$seconds" 8 || { echo "a \`docker stack deploy\` of $2 is still running" && exit 1; }
shift 4
for each in "$@"; do
    case ${each##*=} in
    none) place=--constraint-add ;;
    every) place=--constraint-rm ;;
    *) counted="$counted $each" && continue ;;
    esac
    said=$(docker service update --quiet --detach "$place" "$nowhere" "${each%=*}" 2>&1) || { echo "$said" && exit 1; }
done
# shellcheck disable=SC2086
[ -z "$counted" ] || said=$(docker service scale --detach $counted 2>&1) || { echo "$said" && exit 1; }
exec 8>&-
read -r now _ </proc/uptime # monotonic
until=$((${now%.*} + seconds))
for each in "$@"; do
    case ${each##*=} in 0 | none) ;; *) continue ;; esac
    while { docker service ps --format '{{.CurrentState}}' "${each%=*}" 2>/dev/null || echo Running; } |
        grep -qE '^(Running|Starting|Preparing|Ready|Assigned|Accepted)'; do
        read -r now _ </proc/uptime
        [ "${now%.*}" -lt "$until" ] || { echo "${each%=*} did not stop within $seconds s" && exit 1; }
        sleep 0.3
    done
done
