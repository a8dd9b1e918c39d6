"""Docker Compose on plain hosts: releases, the hosts, and following their runs."""
