"""ci-deploy: deploys an app from CI and knows the truth about it."""

__version__ = "0.1.0"
