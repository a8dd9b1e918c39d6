"""One run: its events, its context for layers, and its outcome."""
