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
    from ci_deploy.run.review_app import ReviewApp, ReviewSettings
    from ci_deploy.settings.core import CoreSettings
    from ci_deploy.state import Live, Step


@dataclass
class Context:
    """One run, as its layers see it; `Assembly.context` makes it. The fields from `review` on are
    filled in during the run; None or empty: not known yet, or there is none."""

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

    review_settings: ReviewSettings | None = None  # if the command acts on a review app
    review: ReviewApp | None = None  # that one; not known yet in `problems`
    sweeping: bool = False  # `destroy --stale`: the app is known to exist, and to be ours
    before_traffic: list[Step] = field(default_factory=list)  # in the order in which they run
    event: Event = Event.CONFIGURE  # the current one
    started: float = field(default_factory=time.monotonic)
    send_queue: SendQueue = field(default_factory=SendQueue)
    before: Live | None = None  # what ran at the start; None: the provider was not asked yet
    url: str = ""  # the app's URL
    health_url: str = ""  # HEALTHCHECK_URL
    release: str = ""  # the provider's name for the release
    others_failed: bool = False  # another app of this run failed: never only a warning
    _revision: str = ""
    _title: str = ""
    _live: Live | None = None
    _provider: Provider[Any] | None = None
    _http: Http | None = None

    @property
    def app(self) -> str:
        """The name on the provider of the app that this run acts on: APP_NAME, or the review app's
        name if there is one."""
        return self.review.name if self.review else self.settings.app_name

    @property
    def reviewed(self) -> ReviewApp:
        """The review app, for code that runs only for one. Raises RuntimeError (a bug) if this run
        has none."""
        return expect(self.review, "the review app")

    @property
    def app_config(self) -> dict[str, str]:
        """The variables to set on the app: those of APP_CONFIG, and for a review app also those of
        REVIEW_CONFIG, which takes precedence."""
        return {name: value for given in self.configured.values() for name, value in given.items()}

    @property
    def configured(self) -> dict[str, dict[str, str]]:
        """The variables to set on the app, by the setting that has them: APP_CONFIG, and for a
        review app REVIEW_CONFIG."""
        review = self.review_settings
        of_review = {"REVIEW_CONFIG": review.config} if review else {}
        return {"APP_CONFIG": self.settings.app_config, **of_review}

    @property
    def environment(self) -> str:
        """The environment's name: DEPLOY_ENVIRONMENT, or else the job's; empty if it has none."""
        return self.settings.environment or self.ci.context.environment

    @property
    def facts(self) -> CIContext:
        """The facts of this CI job, as the platform's variables give them."""
        return self.ci.context

    @property
    def workspace(self) -> Path:
        """The checkout that is deployed. Outputs are written to the job's own workspace instead."""
        return self.repository.checkout.path

    @property
    def revision(self) -> str:
        """The full SHA of the commit that is deployed or rolled back to; empty until `choose`."""
        return self._revision

    @property
    def title(self) -> str:
        """The first line of that commit's message, without secrets; empty until `choose`, and when
        the repository lacks the commit."""
        return self._title

    def choose(self, revision: str) -> None:
        """Make `revision` (a full SHA) the one that this run deploys or rolls back to."""
        self._revision = revision
        self._title = self.redactor.text(self.repository.subject(revision))

    @property
    def live(self) -> Live | None:
        """What runs since this run has deployed it or rolled back to it; None until `verified` is
        called."""
        return self._live

    def verified(self, live: Live, what: str = "") -> None:
        """Record what runs now, which the provider has verified, and log it; `what` describes it
        there, by default with the short revision and the processes (`Live.runs`)."""
        self._live = live
        self.console.indent(f"verified: {self.app} runs {what or live.runs}")

    def move(self, url: str) -> None:
        """Record the app's new URL, which has changed since its release was verified."""
        self.url, self._live = url, self._live and self._live._replace(url=url)

    def in_app_dir(self, name: str) -> str:
        """The path in the repository of the file `name` in the app's directory (APP_DIR)."""
        return f"{self.settings.app_dir}/{name}" if self.settings.app_dir else name

    def texts(self, *names: str) -> list[str]:
        """The texts of the files `names` in the app's directory at this run's revision; empty for
        what is not a file, and for all until a revision is chosen."""
        if not self.revision:
            return [""] * len(names)
        return self.repository.files(self.revision, *map(self.in_app_dir, names))

    @property
    def provider(self) -> Provider[Any]:
        """The active provider, of which there is exactly one. Raises RuntimeError (a bug) while
        there is none (`has_provider`)."""
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
        """The HTTP client, whose packages are loaded when it is first used."""
        if self._http is None:
            from ci_deploy.net.http import Http

            self._http = Http(
                change_log=self.change_log,
                cancellation=self.cancellation,
                environ=self.environ,
                ca=self.settings.ca_bundle,
            )
        return self._http
