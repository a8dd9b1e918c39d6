"""Docker Swarm: several hosts that Docker manages as one."""
