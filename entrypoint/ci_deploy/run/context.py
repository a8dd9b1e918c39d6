"""The context of a run, as layers see it: settings, CI, provider, runner, console, clean-up."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ci_deploy.errors import expect
from ci_deploy.run.events import Event
from ci_deploy.run.send_queue import SendQueue
from ci_deploy.settings import parsers as values
from ci_deploy.settings import setting, settings
from ci_deploy.settings.parsers import suggestion, words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci_deploy.ci.base import CI, CIContext
    from ci_deploy.git.repository import Repository
    from ci_deploy.layers.providers.base import Provider
    from ci_deploy.net.http import Http
    from ci_deploy.output.redaction import Redactor
    from ci_deploy.process.cancellation import Cancellation
    from ci_deploy.process.change_log import ChangeLog
    from ci_deploy.process.runner import Runner
    from ci_deploy.report.console import Console
    from ci_deploy.report.outputs import Report
    from ci_deploy.run.review_app import ReviewApp
    from ci_deploy.state import Live, Step

GUARDS = ("freeze", "fork", "untrusted")


def guards(text: str) -> tuple[str, ...]:
    """Parse names of guards. Raises ValueError for an unknown one."""
    names = words(text)
    for name in names:
        if name not in GUARDS:
            message = f"`{name}` is not one of {', '.join(GUARDS)}. {suggestion(name, GUARDS)}"
            raise ValueError(message.rstrip())
    return names


@settings
class GuardSettings:
    """Switching deployments off, and guards."""

    enabled: bool = setting("CI_DEPLOY", "`false` makes the job do nothing", default=True)
    allow: tuple[str, ...] = setting(
        "DEPLOY_ALLOW",
        "Guards to switch off: `freeze`, `fork`, `untrusted`",
        default=(),
        parse=guards,
    )


@settings
class CoreSettings(GuardSettings):
    """Settings of every deployment."""

    app_name: str = setting(
        "APP_NAME",
        "The app on the provider",
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
        "REFUSE_OUTDATED", "Refuse a revision that is older than the live one", default=False
    )
    live_but_failed: str = setting(
        "LIVE_BUT_FAILED",
        "`warn` ends with exit code 0 when the revision is live but a later step failed",
        default="fail",
        choices=("fail", "warn"),
    )
    rollback_on_failure: bool = setting(
        "ROLLBACK_ON_FAILURE",
        "Roll back to the previous release when the health check fails",
        default=False,
    )
    lock_timeout: int = setting(
        "LOCK_TIMEOUT", "Seconds to wait for another deployment of the app", default=900
    )
    app_config: dict[str, str] = setting(
        "APP_CONFIG",
        "Variables to set on the app, as dotenv lines; those that differ are changed, other "
        "variables stay",
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
        "File with the certificate authorities to trust",
        default="",
        parse=values.existing_file,
        default_help="the system's",
    )
    log_level: str = setting(
        "DEPLOY_LOG_LEVEL",
        "`debug` also shows the programs that run",
        default="info",
        choices=("info", "debug"),
    )
    env_file: str = setting(
        "ENV_FILE", "A dotenv file with settings; variables take precedence", default=""
    )


@dataclass
class Context:
    """One run, as its layers see it. The fields from `review` on are filled in later; empty: not
    known yet."""

    command: str
    settings: CoreSettings
    ci: CI
    environ: Mapping[str, str]
    console: Console
    redactor: Redactor
    runner: Runner
    change_log: ChangeLog
    cancellation: Cancellation
    cleanup: ExitStack
    private_dir: Path
    repository: Repository
    report: Report
    planning: bool = False
    arguments: dict[str, Any] = field(default_factory=dict)  # from the command line
    ours: frozenset[str] = frozenset()  # names of the variables that may hold our settings

    review: ReviewApp | None = None  # for `review` and `destroy`
    sweeping: bool = False  # `destroy --stale`: the app is known to exist, and to be ours
    before_traffic: list[Step] = field(default_factory=list)
    event: Event = Event.CONFIGURE  # the current one
    started: float = field(default_factory=time.monotonic)
    send_queue: SendQueue = field(default_factory=SendQueue)
    before: Live | None = None  # what ran at the start
    live: Live | None = None  # what runs after the deploy, verified
    revision: str = ""  # full SHA of the commit to deploy
    url: str = ""  # the app's URL
    health_url: str = ""  # HEALTHCHECK_URL
    release: str = ""  # the provider's name for the release
    title: str = ""  # the first line of the commit message
    _provider: Provider[Any] | None = None
    _http: Http | None = None

    @property
    def app(self) -> str:
        """The app's name on the provider; for `review` and `destroy` the review app's."""
        return self.review.name if self.review else self.settings.app_name

    @property
    def reviewed(self) -> ReviewApp:
        """The review app, for what only `review` and `destroy` do."""
        return expect(self.review, "the review app")

    @property
    def app_config(self) -> dict[str, str]:
        """The variables to set on the app."""
        return {**self.settings.app_config, **(self.review.settings.config if self.review else {})}

    @property
    def environment(self) -> str:
        """The environment's name, from the setting or from the CI."""
        return self.settings.environment or self.ci.context.environment

    @property
    def facts(self) -> CIContext:
        """The facts of this CI job."""
        return self.ci.context

    @property
    def workspace(self) -> Path:
        """The checkout that is deployed. Outputs are written to the job's own workspace instead."""
        return self.repository.checkout.path

    def in_app_dir(self, name: str) -> str:
        """The path in the repository of a file in the app's directory."""
        return f"{self.settings.app_dir}/{name}" if self.settings.app_dir else name

    def texts(self, *names: str) -> list[str]:
        """The texts of files in the app's directory at this run's revision; empty for no file."""
        if not self.revision:
            return [""] * len(names)
        return self.repository.files(self.revision, *map(self.in_app_dir, names))

    @property
    def provider(self) -> Provider[Any]:
        """The one active provider."""
        return expect(self._provider, "the provider")

    @provider.setter
    def provider(self, provider: Provider[Any]) -> None:
        self._provider = provider

    @property
    def has_provider(self) -> bool:
        """Whether there is a provider yet; there is none while its settings are invalid."""
        return self._provider is not None

    @property
    def http(self) -> Http:
        """HTTP; its packages are loaded when it is first used."""
        if self._http is None:
            from ci_deploy.net.http import Http

            self._http = Http(
                change_log=self.change_log,
                cancellation=self.cancellation,
                environ=self.environ,
                ca=self.settings.ca_bundle,
            )
        return self._http
