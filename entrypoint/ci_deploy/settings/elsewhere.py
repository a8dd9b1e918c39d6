"""OTHERS: for a setting, the variables that other tools' pipelines use for the same value, to help
users who migrate (`Source.elsewhere`).

Collected from public pipelines (dokku/github-action, heroku-deploy, appleboy/ssh-action and so on).
Names that could be anything, like HOST or USERNAME, are left out.
"""

from __future__ import annotations

from collections.abc import Mapping

OTHERS: Mapping[str, tuple[str, ...]] = {
    "APP_NAME": ("DOKKU_APP_NAME", "DOKKU_APP", "HEROKU_APP_NAME", "HEROKU_APP"),
    "SSH_PRIVATE_KEY": (
        *("SSH_KEY", "DOKKU_SSH_PRIVATE_KEY", "DOKKU_SSH_KEY", "DEPLOY_SSH_KEY", "SSH_DEPLOY_KEY"),
        *("SERVER_SSH_KEY", "VPS_SSH_KEY", "EC2_SSH_KEY", "DEPLOY_KEY", "PRIVATE_KEY"),
        *("DOKKU_PRIVATE_KEY", "DOKKU_DEPLOY_KEY", "SSH_PRIVATE_KEY_BASE64"),
    ),
    "SSH_PRIVATE_KEY_PASSPHRASE": ("SSH_PASSPHRASE", "SSH_KEY_PASSPHRASE"),
    "SSH_SERVER_HOSTKEYS": (
        *("KNOWN_HOSTS", "SSH_HOST_KEY", "DOKKU_HOST_KEY", "DEPLOY_KNOWN_HOSTS"),
        *("SERVER_SSH_KNOWN_HOSTS", "VPS_KNOWN_HOSTS", "EC2_KNOWN_HOSTS"),
    ),
    "DOKKU_HOST": (
        *("GIT_REMOTE_URL", "DOKKU_SERVER_IP", "DOKKU_SERVER", "DOKKU_IP", "DOKKU_SSH_HOST"),
        *("DOKKU_REMOTE_URL", "DOKKU_GIT_REMOTE_URL", "DOKKU_GIT_REMOTE", "DOKKU_SSH_URL"),
    ),
    "HEROKU_API_KEY": ("HEROKU_AUTH_TOKEN", "HEROKU_API_TOKEN", "HEROKU_TOKEN"),
    "SERVER_HOST": (
        *("SSH_HOST", "DEPLOY_HOST", "SERVER_IP", "VPS_HOST", "VPS_IP", "EC2_HOST"),
        *("PROD_SERVER_HOST", "STAGING_HOST"),
    ),
    "SERVER_USER": (
        *("SSH_USER", "SSH_USERNAME", "DEPLOY_USER", "VPS_USER", "EC2_USER"),
        *("SERVER_USERNAME", "PROD_SERVER_USER", "STAGING_USERNAME"),
    ),
    "DOCKER_USER": ("DOCKER_USERNAME", "DOCKERHUB_USERNAME", "DOCKER_HUB_USERNAME"),
    "DOCKER_PASS": ("DOCKER_PASSWORD", "DOCKERHUB_TOKEN", "DOCKERHUB_PASSWORD"),
    "SLACK_WEBHOOK_URL": ("SLACK_WEBHOOK",),
}
