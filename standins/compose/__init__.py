"""An app of docker compose, the proxies in front of it, and their clients."""
