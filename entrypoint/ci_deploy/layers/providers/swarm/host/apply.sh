# shellcheck shell=sh
# apply STACK FOLDER: a stack file on stdin. Without --prune: what is not in it is none of its business.
# Whoever removes the stack waits until this has ended, also when the job was killed: it goes on.
detach=
! docker stack deploy --help | grep -q -e --detach || detach=--detach=true
if cd "${2:-$HOME}" 2>/dev/null && mkdir -p .ci-deploy 2>/dev/null; then
    exec 8>>".ci-deploy/$1.apply" && flock -s 8
fi
# shellcheck disable=SC2086
docker stack deploy --with-registry-auth $detach -c - "$1" 2>&1
