"""Sentry: the account, sentry-cli, the API, and the commits of a release."""
