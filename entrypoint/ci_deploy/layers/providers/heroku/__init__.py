"""Heroku: the Platform API, git.heroku.com, and the CLI for one-off commands."""
