"""Docker Compose on plain hosts: the release, the hosts, and following what they do."""
