"""ci-deploy: deploys an app from CI, and reports what is really live."""

__version__ = "0.1.0"
