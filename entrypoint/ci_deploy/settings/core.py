"""Settings of every deployment, whatever its layers; each layer declares its own."""

from __future__ import annotations

from ci_deploy.settings import parsers as values
from ci_deploy.settings import setting, settings
from ci_deploy.settings.parsers import suggestion, words

GUARDS = ("freeze", "fork", "untrusted")


def guards(text: str) -> tuple[str, ...]:
    """Parse DEPLOY_ALLOW, names of GUARDS separated by spaces, commas or newlines. Raises
    ValueError for an unknown one."""
    names = words(text)
    for name in names:
        if name not in GUARDS:
            message = f"`{name}` is not one of {', '.join(GUARDS)}. {suggestion(name, GUARDS)}"
            raise ValueError(message.rstrip())
    return names


@settings
class GuardSettings:
    """Settings that switch deployments or guards off."""

    enabled: bool = setting("CI_DEPLOY", "`false` makes the job do nothing", default=True)
    allow: tuple[str, ...] = setting(
        "DEPLOY_ALLOW",
        "Guards to switch off: `freeze`, `fork`, `untrusted`",
        default=(),
        parse=guards,
    )


@settings
class ChoiceSettings:
    """The setting that chooses the provider."""

    provider: str = setting(
        "DEPLOY_PROVIDER",
        "The platform that runs the app; each image but `full` sets it",
        default="",
        default_help="inferred from the other settings",
    )


@settings
class CoreSettings(GuardSettings):
    """Settings of every deployment."""

    app_name: str = setting(
        "APP_NAME",
        "Name of the app on the provider",
        pattern=r"[a-z0-9][a-z0-9._-]*",
        example="my-project",
    )
    environment: str = setting(
        "DEPLOY_ENVIRONMENT",
        "The environment, like staging or production",
        default="",
        default_help="the job's environment on GitLab",
    )
    revision: str = setting(
        "DEPLOY_REVISION",
        "What to deploy: a commit, tag or branch",
        default="",
        default_help="the commit of this pipeline",
    )
    timeout: int = setting("DEPLOY_TIMEOUT", "Seconds after which the run is stopped", default=3600)
    redeploy: bool = setting(
        "REDEPLOY", "Deploy the revision even if it is already live", default=False
    )
    refuse_outdated: bool = setting(
        "REFUSE_OUTDATED",
        "Refuse a revision that is older than the live one, or cannot be compared with it",
        default=False,
    )
    live_but_failed: str = setting(
        "LIVE_BUT_FAILED",
        "`warn` ends with exit code 0 when the revision is live but a later step failed",
        default="fail",
        choices=("fail", "warn"),
    )
    rollback_on_failure: bool = setting(
        "ROLLBACK_ON_FAILURE",
        "Roll back to the release that was live before when the request of HEALTHCHECK_URL fails",
        default=False,
    )
    lock_timeout: int = setting(
        "LOCK_TIMEOUT", "Seconds to wait for another deployment of the app", default=900
    )
    app_config: dict[str, str] = setting(
        "APP_CONFIG",
        "Variables to set on the app, as dotenv lines; on Dokku and Heroku its other variables "
        "stay",
        default={},
        text=True,
    )
    checkout_dir: str = setting(
        "CHECKOUT_DIR",
        "The checkout to deploy, if it is not the job's own: a directory in the workspace",
        default="",
        default_help="the job's workspace",
        pattern=r"(?!-)[\w./ -]+",
    )
    app_dir: str = setting(
        "APP_DIR",
        "The app's directory in the repository",
        default="",
        default_help="the root",
        pattern=r"(?!/)(?!.*\.\.)[\w./-]+",
        parse=values.folder,
    )
    ca_bundle: str = setting(
        "CA_BUNDLE",
        "Path of a file with the CA certificates to trust",
        default="",
        parse=values.existing_file,
        default_help="the system's",
    )
    log_level: str = setting(
        "DEPLOY_LOG_LEVEL",
        "`debug` also logs each program that ci-deploy runs",
        default="info",
        choices=("info", "debug"),
    )
    env_file: str = setting(
        "ENV_FILE", "Path of a dotenv file with settings; variables take precedence", default=""
    )
