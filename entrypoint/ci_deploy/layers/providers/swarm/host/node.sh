# shellcheck shell=sh
# node: which node of the swarm this is.
docker info --format 'node {{.Swarm.NodeID}}'
