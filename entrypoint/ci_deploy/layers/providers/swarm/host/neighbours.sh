# shellcheck shell=sh
# neighbours, after beside.sh: for a review app, print the services of the swarm, and the containers of
# this manager, which may be in the swarm's networks too.
others
docker network ls --no-trunc --format 'network {{.ID}} {{.Name}}'
docker service ls -q | xargs -r docker service inspect --format 'service {{json .Spec}}' 2>/dev/null
exit 0
