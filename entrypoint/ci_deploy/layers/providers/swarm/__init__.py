"""The provider for apps on a Docker Swarm: several hosts that Docker manages as one."""
