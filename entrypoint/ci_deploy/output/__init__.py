"""Makes the output of other programs safe for a log: control characters, secrets, log commands."""
