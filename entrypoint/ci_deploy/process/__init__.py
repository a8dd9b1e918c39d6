"""Running other programs, and stopping them."""
