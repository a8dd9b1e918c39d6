"""Makes the output of other programs safe to show."""
