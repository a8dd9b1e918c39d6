# shellcheck shell=sh
# apply STACK: a stack file on stdin. Without --prune: what is not in it is none of its business.
detach=
! docker stack deploy --help | grep -q -e --detach || detach=--detach=true
# shellcheck disable=SC2086
docker stack deploy --with-registry-auth $detach -c - "$1" 2>&1
