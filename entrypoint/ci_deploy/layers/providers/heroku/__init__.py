"""The provider for apps on Heroku: uses the Platform API, git, and the CLI for one-off commands."""
