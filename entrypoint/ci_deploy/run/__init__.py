"""One run: its events, what layers see of it, how it ends."""
