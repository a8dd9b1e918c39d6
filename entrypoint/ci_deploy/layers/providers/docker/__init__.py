"""What Compose and Swarm have in common, from the compose files to a release."""
