"""The checkout and its repository."""
