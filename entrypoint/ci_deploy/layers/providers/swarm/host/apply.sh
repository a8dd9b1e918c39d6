# shellcheck shell=sh
# apply STACK FOLDER: deploy the stack file on stdin. Without --prune: services that it lacks stay. One at a
# time, by a lock: it continues when the job was killed, and back.sh, scale.sh and remove.sh wait for its end.
detach=
! docker stack deploy --help | grep -q -e --detach || detach=--detach=true
if cd "${2:-$HOME}" 2>/dev/null && mkdir -p .ci-deploy 2>/dev/null; then
    exec 8>>".ci-deploy/$1.apply"
    flock -w 240 8 || { echo "another \`docker stack deploy\` of $1 is still running" && exit 1; }
fi
# shellcheck disable=SC2086
docker stack deploy --with-registry-auth $detach -c - "$1" 2>&1
