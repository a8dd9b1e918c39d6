"""Sentry: whose account, its program, its API, the commits that it is told of."""
