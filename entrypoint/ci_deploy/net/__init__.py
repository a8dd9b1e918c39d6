"""HTTP, mail, ssh (in `ssh`), retries, and the reasons of TLS errors."""
