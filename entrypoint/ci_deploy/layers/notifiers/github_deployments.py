"""The notifier `github-deployments`: GitHub shows what runs in which environment on the pages of
the repository and of pull requests.

Source: docs.github.com/rest/deployments. Without `required_contexts: []` our own running job would
cause a 409; without `auto_merge: false` the default branch would be merged into the ref. GitHub
itself makes older deployments of an environment inactive, but for all apps together, and neither
transient ones nor those of production; so this layer does it for each app. Only an inactive
deployment can be deleted.
"""

from __future__ import annotations

from typing import Any, ClassVar

from ci_deploy.errors import DeployFailed
from ci_deploy.layers.base import Notifier, NotifierSettings
from ci_deploy.run.context import Context
from ci_deploy.run.events import Event
from ci_deploy.run.forge import GITHUB, Forge
from ci_deploy.run.notifications import GOOD, NEUTRAL, STARTED, Notice, shorten
from ci_deploy.run.sending import persist
from ci_deploy.settings import setting, settings

DESCRIPTION = 140  # characters
OLDER = 10  # older deployments checked for being still active; earlier runs have checked the rest
REVIEW = "review"  # one environment for all review apps, since environments are not deleted
PRODUCTION = "production"  # GitHub's own default
ADVICE = (
    "For `github.token` the job needs `permissions: { deployments: write }`; another "
    "DEPLOYMENTS_TOKEN must be valid and may write deployments of this repository."
)
NOT_HERE = "this job does not belong to a repository on GitHub"


@settings
class DeploymentsSettings(NotifierSettings):
    """The settings of the layer `github-deployments`; DEPLOYMENTS_TOKEN switches it on."""

    token: str = setting(
        "DEPLOYMENTS_TOKEN",
        "Token that may write deployments: `github.token`; not for a job with an "
        "`environment:`, for which GitHub creates the deployment itself",
        default="",
        secret=True,
    )


class GitHubDeployments(Notifier[DeploymentsSettings]):
    """Records this run's deployment on GitHub, with the app's URL and the job's log; removes those
    of a review app that is destroyed. After a refusal nothing more is sent."""

    name = "github-deployments"
    Settings: ClassVar[type[Any]] = DeploymentsSettings
    trigger = "DEPLOYMENTS_TOKEN"

    def __init__(self, ctx: Context, settings: DeploymentsSettings) -> None:
        super().__init__(ctx, settings)
        self._forge = Forge(ctx, settings.token.strip())
        self._id = 0
        self._off = False
        self._path = f"/repos/{ctx.facts.project_id}/deployments"

    def begin(self) -> None:
        facts = self.ctx.facts
        self._off = not (self._forge.title == GITHUB and facts.api_url and facts.project_id)
        if self._off:
            self.ctx.console.warning(f"{self.trigger}: nothing is recorded: {NOT_HERE}.")

    def send(self, notice: Notice) -> None:
        if not self._off:
            persist(self.ctx, lambda: self._send(notice))

    def _send(self, notice: Notice) -> None:
        from ci_deploy.net.http import Busy, HttpError

        try:
            if notice.facts.get("event") == Event.DESTROY_SUCCEEDED:
                self._remove()
            elif notice.facts.get("event") != Event.DESTROY_FAILED:
                self._tell(notice)
        except Busy:
            raise
        except HttpError as error:
            self._off = True
            hint = f" {ADVICE}" if error.response.status in {401, 403, 404} else ""
            removing = notice.facts.get("event") == Event.DESTROY_SUCCEEDED
            done = "removed from" if removing else "recorded on"
            message = f"the deployment cannot be {done} GitHub: {error}{hint}"
            raise DeployFailed(message) from None

    def _tell(self, notice: Notice) -> None:
        facts, state = notice.facts, self._state(notice)
        revision = str(facts.get("revision") or "")
        if not self._id and revision and notice.mood in {STARTED, GOOD}:
            body = {
                "ref": revision,
                "task": self.task,
                "environment": self.environment,
                "description": self._description(notice),
                "auto_merge": False,
                "required_contexts": [],
                "transient_environment": bool(self.ctx.review),
                "production_environment": self.environment.lower() == PRODUCTION,
            }
            self._id = int(self._forge.send("POST", self._path, json=body).json()["id"])
        if self._id:
            told = {"description": self._description(notice), "log_url": notice.url}
            url = str(facts.get("url") or "")
            if state == "success" and url.startswith(("http://", "https://")):
                told["environment_url"] = url
            self._status(self._id, state, **told)
            if state == "success":
                self._supersede()

    def _state(self, notice: Notice) -> str:
        """GitHub's state for the notice. What was not verified completely is not a success."""
        if notice.mood is STARTED:
            return "in_progress"
        if notice.mood in {GOOD, NEUTRAL}:
            return "success"
        return "error" if notice.facts.get("status") == "cancelled" else "failure"

    def _status(self, number: int, state: str, **more: str) -> None:
        body = {"state": state, "auto_inactive": False, **more}
        self._forge.send("POST", f"{self._path}/{number}/statuses", json=body)

    def _others(self) -> list[int]:
        """The ids of this app's other deployments, newest first."""
        query = {"environment": self.environment, "task": self.task}
        found = (int(each["id"]) for each in self._forge.entries(self._path, **query))
        return [number for number in found if number != self._id]

    def _supersede(self) -> None:
        """Make older deployments inactive; those that failed stay so."""
        for number in self._others()[:OLDER]:
            told = self._forge.send(
                "GET", f"{self._path}/{number}/statuses", params={"per_page": 1}
            )
            state = next((each["state"] for each in told.json()), "")
            if state == "inactive":
                return
            if state not in {"failure", "error"}:
                self._status(number, "inactive")

    def _remove(self) -> None:
        """Delete the deployments of a removed review app. All but the newest are inactive
        already."""
        from ci_deploy.net.http import HttpError

        for number in self._others():
            try:
                self._forge.send("DELETE", f"{self._path}/{number}")
            except HttpError as error:
                if error.response.status != 422:
                    raise
                self._status(number, "inactive")
                self._forge.send("DELETE", f"{self._path}/{number}")

    @property
    def environment(self) -> str:
        """The environment's name on GitHub: `review` for all review apps, else that of the run, and
        `production` if the run has none."""
        return REVIEW if self.ctx.review else self.ctx.environment or PRODUCTION

    @property
    def task(self) -> str:
        """The deployment's task name, which distinguishes the apps of one environment:
        `deploy:my-app`, for a review app `review:my-app-topic`."""
        return f"{REVIEW if self.ctx.review else 'deploy'}:{self.ctx.app}"

    def _description(self, notice: Notice) -> str:
        return shorten(self.ctx.redactor.text(notice.title), DESCRIPTION)

    def preview(self, notice: Notice) -> str:
        if self._off:
            return f"nothing is recorded: {NOT_HERE}"
        if notice.facts.get("event") == Event.DESTROY_SUCCEEDED:
            return f"remove the deployments of {self.task} in {self.environment}"
        return f"{self._state(notice)}: {self.task} in {self.environment}: {notice.title}"
