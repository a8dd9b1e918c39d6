"""Making what others print safe to show."""
