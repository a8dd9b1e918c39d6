"""Stand-ins for servers that cannot run on a developer's machine."""
