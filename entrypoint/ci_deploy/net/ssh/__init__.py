"""ssh: the private agent, the keys, who the host is, the connection."""
