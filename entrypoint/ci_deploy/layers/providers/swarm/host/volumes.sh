# shellcheck shell=sh
# volumes FOLDER STACK SECONDS: remove the stack's volumes on this node and the dumps of its databases, once
# its containers are gone, which the engine stops in the background.
read -r now _ </proc/uptime # monotonic
label=label=com.docker.stack.namespace=$2 until=$((${now%.*} + $3))
while [ -n "$(docker ps -aq --filter "$label")" ] && [ "${now%.*}" -lt "$until" ]; do
    sleep 0.3
    read -r now _ </proc/uptime
done
for each in $(docker volume ls -q --filter "$label"); do
    docker volume rm "$each" >/dev/null && echo "removed the volume $each"
done
left=$(docker volume ls -q --filter "$label") || { echo "Docker does not answer"; exit 1; }
[ -z "$left" ] || { echo "still there: volume $left" | tr '\n' ' '; exit 1; }
! cd "${1:-$HOME}" 2>/dev/null || rm -rf ".ci-deploy/backups/$2" || { echo "still there: dumps of its databases"; exit 1; }
docker info --format 'node {{.Swarm.NodeID}}'
