"""HTTP, mail, ssh and retries."""
