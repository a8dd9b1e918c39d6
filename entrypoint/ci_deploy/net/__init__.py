"""HTTP, mail, trying again."""
