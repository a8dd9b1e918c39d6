"""Rolls back to a release that was live before.

Source: POST /apps/A/releases {release} makes a new release of the old slug and the old config vars
(the database and the add-ons stay as they are); slugs older than 30 days and not among the last 20
releases are deleted; a release phase may run again.
"""

from __future__ import annotations

import contextlib
import re

from ci_deploy.errors import Refused, SettingsError, Unreachable
from ci_deploy.layers.providers.heroku.app import App, State
from ci_deploy.layers.providers.heroku.releases import MANY, Release
from ci_deploy.layers.providers.heroku.remote import Remote
from ci_deploy.run.context import Context

FAR_ENOUGH = 50  # releases with a slug that are checked


class Rollback:
    """One rollback: `target` finds the release to roll back to, `run` rolls back to it."""

    def __init__(self, ctx: Context, app: App, state: State, to: Release | None = None) -> None:
        """`to`: the release to roll back to, if it is known; else `target` finds it."""
        self._ctx = ctx
        self._app = app
        self._state = state
        self._chosen = to
        self._named = False

    def target(self, wanted: str) -> str:
        """The full SHA of the release `wanted` (`v42`, or a commit, tag or branch), to which `run`
        will roll back; if that is empty, of the last release with other code than the live one.

        Raises Refused when there is no such release, or when its slug is deleted or its commit
        unknown, SettingsError for a name that is no commit.
        """
        earlier = self._earlier()
        self._named = bool(re.fullmatch(r"v\d+", wanted))
        if self._named:
            found = next((each for each in earlier if each.name == wanted), None)
        elif wanted:
            found = self._of_revision(wanted, earlier)
        else:
            found = next(filter(self._is_another, earlier), None)
        if found is None:
            kind = f" {wanted} of {self._app.name}" if wanted else (
                f" of {self._app.name} with other code"
            )  # fmt: skip
            what = f"no release{kind} was live before the present one"
            hint = f"`ci-deploy history` lists the releases. {deploy_instead(wanted)}".rstrip()
            raise Refused(f"{what}.", hint=hint)
        revision = self._app.releases.commit(found.slug) if available(found) else ""
        if found.status == "expired" and self._app.releases.commit(found.slug):
            message = f"{found.name} was never live: its release phase took too long."
            raise Refused(message, hint="`ci-deploy history` lists the releases.")
        if not revision:
            message = f"the slug of {found.name} ({found.description}) has expired, or Heroku does "
            message += "not know its commit: it keeps slugs of the last 30 days and 20 releases."
            raise Refused(message, hint=deploy_instead(wanted) or "Deploy that revision instead.")
        self._chosen = found
        return revision

    @property
    def is_back(self) -> bool:
        """Whether the target is live already: the same code, and if a release was named, that very
        release, since the same code may have had other config vars."""
        live, chosen = self._state.live, self._chosen
        if chosen is None or not live.up or live.revision != self._app.releases.commit(chosen.slug):
            return False
        return not self._named or self._state.release.description == f"Rollback to {chosen.name}"

    def _is_another(self, release: Release) -> bool:
        """Whether the release was live with other code than the live one (assumed when its slug is
        deleted). One whose release phase expired was never live: its slug still exists."""
        if release.slug == self._state.release.slug:
            return False
        commit = self._app.releases.commit(release.slug)
        return commit != self._state.live.revision and not (release.status == "expired" and commit)

    def _earlier(self) -> list[Release]:
        """Releases that were live before the present one, newest first."""
        listed = [
            each
            for each in self._app.releases.newest(MANY)
            if each.slug and each.version < self._state.release.version
        ]
        return [each for each in listed if each.status in {"succeeded", "expired"}][:FAR_ENOUGH]

    def _of_revision(self, wanted: str, earlier: list[Release]) -> Release | None:
        try:
            wanted = self._ctx.repository.resolve(wanted)  # also a tag's own id
        except SettingsError:
            if not re.fullmatch(r"[0-9a-f]{7,64}", wanted):
                raise
        for each in earlier:
            if available(each):
                matches = self._app.releases.commit(each.slug).startswith(wanted)
            else:  # only its description is left: `Deploy 1234abcd`
                matches = any(word.startswith(wanted[:7]) for word in each.description.split())
            if matches:
                return each
        return None

    def run(self, revision: str, *, timeout: float) -> None:
        """Roll back to the release of `target`, or else to the last one of `revision`, and verify
        it (`ctx.verified`): its dynos get `timeout` seconds to be up. Raises DeployFailed,
        OutcomeUnknown, Refused."""
        chosen = self._chosen or self._of_revision(revision, self._earlier())
        if chosen is None:
            message = f"no release of {revision[:7]} is left to roll back to."
            raise Refused(message, hint=deploy_instead(revision))
        app = self._app
        self._ctx.console.indent(
            f"the rollback to {chosen.name} also restores the config vars of that release, but "
            "not its database."
        )
        what = f"roll back {app.name} to {chosen.name}"
        made = app.releases.change({"release": chosen.id}, what=what, same=chosen.slug)
        if made is None:
            return
        self._ctx.release = made.name
        release = app.releases.follow(made)
        live = app.verify(revision, release, timeout=timeout)
        self._ctx.verified(live)

    def bring_history(self, target: str, remote: Remote) -> None:
        """Fetch the live revision and `target` (a SHA) from the origin or from `remote` if the
        checkout lacks them: a framework layer names the migrations between them. Logs it when they
        cannot be fetched. Raises ToolMissing."""
        repository, live = self._ctx.repository, self._state.live.revision

        def known() -> bool:
            return bool(live) and repository.has(live) and repository.has(target)

        if live and not known() and repository.can_deepen() and not known():
            with contextlib.suppress(Unreachable):  # only needed to say more
                repository.fetch(remote.url, "refs/heads/main", remote.env)
        if not known():
            why = "the checkout lacks a commit" if live else "it is not known which commit is live"
            words = f"the migrations between the two releases are unknown: {why}."
            self._ctx.console.indent(words)


def available(release: Release) -> bool:
    """Whether the release has succeeded and Heroku still has its slug, as a rollback needs."""
    return release.eligible and release.status == "succeeded"


def deploy_instead(wanted: str) -> str:
    """A hint to deploy the commit `wanted` instead of rolling back; empty if it is not a (perhaps
    abbreviated) commit id."""
    named = bool(re.fullmatch(r"[0-9a-f]{7,64}", wanted))
    return f"Deploy it instead: DEPLOY_REVISION={wanted}." if named else ""
