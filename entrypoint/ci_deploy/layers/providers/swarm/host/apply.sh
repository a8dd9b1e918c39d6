# shellcheck shell=sh
# apply STACK FOLDER: a stack file on stdin. Without --prune: what is not in it is none of its business.
# One at a time: it goes on when the job was killed, and whoever goes back from it, stops the app for a
# restore or removes the stack waits until it has ended.
detach=
! docker stack deploy --help | grep -q -e --detach || detach=--detach=true
if cd "${2:-$HOME}" 2>/dev/null && mkdir -p .ci-deploy 2>/dev/null; then
    exec 8>>".ci-deploy/$1.apply"
    flock -w 240 8 || { echo "another \`docker stack deploy\` of $1 is still running" && exit 1; }
fi
# shellcheck disable=SC2086
docker stack deploy --with-registry-auth $detach -c - "$1" 2>&1
