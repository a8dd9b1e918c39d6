"""Docker Swarm: several hosts that Docker itself makes one of."""
