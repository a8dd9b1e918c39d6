"""Promotions: the slug that one app of a pipeline runs is released to others, without a build.

Source: POST /pipeline-promotions, then its promotion-targets until none is pending; a target's
release has its own release phase. `heroku pipelines:promote` ended with 0 on failure until 11.9,
and never checks what runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ci_deploy.errors import DeployError, DeployFailed, Problem, Refused, SettingsError
from ci_deploy.layers.providers.heroku.api import Api, NotFound, ResponseLost
from ci_deploy.layers.providers.heroku.app import App, State
from ci_deploy.layers.providers.heroku.output import Output
from ci_deploy.layers.providers.heroku.pending import until_over
from ci_deploy.layers.providers.heroku.releases import Release, read
from ci_deploy.run.context import Context
from ci_deploy.run.notifications import counted

STAGES = ("development", "staging", "production")
PROPER = "a development, staging or production app"


class Promotion:
    """One promotion: of the release of a source app to this app, and to the apps of
    HEROKU_PROMOTE_TO. `prepare` finds the source and checks it, `run` promotes."""

    def __init__(self, ctx: Context, api: Api, app: App) -> None:
        self._ctx = ctx
        self._api = api
        self._app = app
        self._pipeline = ""
        self._names: dict[str, str] = {}  # the pipeline's apps: id → name
        self._source_id = ""
        self._others: list[App] = []
        self.source = ""  # name of the source app

    def prepare(self, *, pipeline: str, source: str, others: Sequence[str]) -> State:
        """Find the pipeline and the apps by the settings HEROKU_PIPELINE, HEROKU_PROMOTE_FROM (both
        may be empty) and HEROKU_PROMOTE_TO; returns the source's state. Raises SettingsError, and
        Refused when the source does not run its newest release, or its commit is unknown."""
        try:
            coupling = self._api.get(f"{self._app.path}/pipeline-couplings")
        except NotFound:
            reason = f"{self._app.name} is not in a pipeline."
            remedy = f"Add it with `heroku pipelines:add PIPELINE -a {self._app.name}`."
            raise SettingsError(Problem("HEROKU_PIPELINE", reason, "", remedy)) from None
        own = coupling["pipeline"]
        if pipeline and pipeline not in {own.get("id"), own.get("name")}:
            reason = f"{self._app.name} is in the pipeline `{own.get('name')}`, not `{pipeline}`."
            raise SettingsError(Problem("HEROKU_PIPELINE", reason))
        self._pipeline = str(own["id"])
        couplings = self._api.get_list(f"/pipelines/{self._pipeline}/pipeline-couplings")
        stages = {str(each["app"]["id"]): str(each["stage"]) for each in couplings}
        for identity, stage in stages.items():
            if stage in STAGES or identity == str(coupling["app"]["id"]):
                self._names[identity] = str(self._api.get(f"/apps/{identity}")["name"])
        self._source_id = self._choose(source, stages, str(coupling["stage"]))
        self.source = self._names[self._source_id]
        self._others = [App(self._ctx, self._api, self._member(name)) for name in others]
        found = App(self._ctx, self._api, self.source).look()
        if not found.live.revision:
            message = f"{self.source} runs no release whose commit is known, so there is nothing "
            message += "to promote."
            raise Refused(message, hint=f"Deploy {self.source} first.")
        if found.newest.version > found.release.version:
            runs, newest = found.release.name, f"{found.newest.name} is `{found.newest.status}`"
            message = f"{self.source} runs {runs}, but its newest release {newest}."
            hint = f"Deploy {self.source} again, or wait for its release; then promote."
            raise Refused(message, hint=hint)
        return found

    def _member(self, name: str) -> str:
        if name in self._names.values():
            return name
        known = ", ".join(sorted(self._names.values()))
        reason = f"`{name}` is not {PROPER} of this pipeline, which has {known}."
        raise SettingsError(Problem("HEROKU_PROMOTE_TO", reason))

    def _choose(self, wanted: str, stages: Mapping[str, str], stage: str) -> str:
        """The id of the source app: the named one, or the only one at the previous stage. Raises
        SettingsError."""
        before = STAGES[STAGES.index(stage) - 1] if stage in STAGES[1:] else ""
        near = {
            identity: name
            for identity, name in self._names.items()
            if (name == wanted if wanted else stages[identity] == before)
        }
        if len(near) == 1:
            return next(iter(near))
        known = ", ".join(
            f"{name} ({stages[identity]})" for identity, name in sorted(self._names.items())
        )
        what = f"`{wanted}` is not {PROPER} of the pipeline" if wanted else (
            f"{counted(near, 'app')} of the pipeline could be the source, since {self._app.name} "
            f"is at the stage `{stage}`"
        )  # fmt: skip
        reason = f"{what}. APP_NAME is the app that gets the release; the pipeline has {known}."
        remedy = " or ".join(sorted(near.values())) or "the app whose release is to be promoted"
        raise SettingsError(Problem("HEROKU_PROMOTE_FROM", reason, "", f"Set it to {remedy}."))

    @property
    def complete(self) -> bool:
        """Whether all apps of HEROKU_PROMOTE_TO already run the revision; True without any."""
        states = (other.look() for other in self._others)
        return all(s.live.revision == self._ctx.revision and s.live.up for s in states)

    def run(self, *, timeout: float) -> None:
        """Promote, and verify each target: its dynos get `timeout` seconds to be up. Then the first
        error is raised, that of this run's app first: DeployFailed, OutcomeUnknown. Calls
        `ctx.verified` for this run's app, and sets `ctx.others_failed` if another failed."""
        targets = [self._app, *self._others]
        before = {each.name: self._newest(each) for each in targets}
        ids = {name: identity for identity, name in self._names.items()}
        body = {
            "pipeline": {"id": self._pipeline},
            "source": {"app": {"id": self._source_id}},
            "targets": [{"app": {"id": ids[each.name]}} for each in targets],
        }
        names = ", ".join(each.name for each in targets)
        what = f"promote {self._ctx.revision[:7]} from {self.source} to {names}"
        try:
            found = self._api.change("POST", "/pipeline-promotions", body, what=what)
        except ResponseLost as lost:
            releases = self._made_despite_lost_response(targets, before, lost)
        else:
            if found is None:
                return
            releases = self._released(targets, ids, found)
        self._verify(targets, releases, timeout)

    def _newest(self, app: App) -> int:
        newest = app.releases.newest(1)
        return newest[0].version if newest else 0

    def _released(
        self, targets: Sequence[App], ids: Mapping[str, str], found: Mapping[str, Any]
    ) -> dict[str, Release | DeployError]:
        """The release of each target, as soon as it exists, or the error why there is none."""
        path = f"/pipeline-promotions/{found['id']}/promotion-targets"

        def look() -> Mapping[str, Any]:
            return {"targets": self._api.get(path)}

        def over(each: Mapping[str, Any]) -> bool:
            listed = each.get("targets") or ()
            return bool(listed) and all(t["status"] != "pending" or t["release"] for t in listed)

        what = "the promotion"
        told = until_over(self._ctx, {}, look, what=what, output=Output(self._ctx, what), over=over)
        by_app = {each["app"]["id"]: each for each in told["targets"]}
        releases: dict[str, Release | DeployError] = {}
        for app in targets:
            each = by_app.get(ids[app.name]) or {}
            if release := each.get("release"):
                releases[app.name] = read(self._api.get(f"{app.path}/releases/{release['id']}"))
            else:
                why = each.get("error_message") or "Heroku gave no reason"
                message = f"{app.name} received no release: {why.rstrip('.')}."
                releases[app.name] = DeployFailed(message)
        return releases

    def _made_despite_lost_response(
        self, targets: Sequence[App], before: Mapping[str, int], lost: ResponseLost
    ) -> dict[str, Release | DeployError]:
        """Like `_released` after a lost response: look whether the releases were made."""
        releases: dict[str, Release | DeployError] = {}
        for app in targets:
            look = partial(app.releases.since, before[app.name], self._ctx.revision)
            if ours := self._api.found(look):
                self._ctx.console.indent(f"no response, but {app.name} has the release.")
                releases[app.name] = ours
            else:
                hint = f"Verified: {app.name} has no new release. It is safe to retry."
                releases[app.name] = DeployFailed(lost.message, hint=hint)
        return releases

    def _verify(
        self,
        targets: Sequence[App],
        releases: Mapping[str, Release | DeployError],
        timeout: float,
    ) -> None:
        """Verify all targets, then raise the first error, this app's first."""
        errors = []
        for app in targets:
            made = releases[app.name]
            try:
                if isinstance(made, DeployError):
                    raise made
                release = app.releases.follow(made)
                live = app.verify(self._ctx.revision, release, timeout=timeout)
            except DeployError as error:
                errors.append(error)
                self._ctx.others_failed |= app is not self._app
                if len(targets) > 1:
                    self._ctx.console.warning(f"{app.name}: {error.message}")
                continue
            if app is self._app:
                self._ctx.verified(live)
            else:
                self._ctx.console.indent(f"verified: {app.name} runs {live.runs}")
        if errors:
            raise errors[0]
