# shellcheck shell=sh
# node: print the id of this node in the swarm.
docker info --format 'node {{.Swarm.NodeID}}'
