"""Review apps on Heroku: marked, in the base app's team and pipeline, set up from app.json.

Source: POST /app-setups creates an app from a source with an app.json: its add-ons, env and
postdeploy; a setup continues when its client leaves. Heroku's own review apps need a pipeline that
is connected to GitHub, so they are not used: this works from GitLab too.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple, NoReturn

from ci_deploy.errors import (
    DeployError,
    DeployFailed,
    Problem,
    Refused,
    SettingsError,
    Unauthorized,
)
from ci_deploy.layers.providers.heroku.api import REFUSED, Api, NotFound, Question, ResponseLost
from ci_deploy.layers.providers.heroku.app import App
from ci_deploy.layers.providers.heroku.archive import packed, upload
from ci_deploy.layers.providers.heroku.output import Output
from ci_deploy.layers.providers.heroku.pending import until_over
from ci_deploy.run.context import Context
from ci_deploy.run.review_app import MARK, ReviewApp, addresses, guard_addresses, marked
from ci_deploy.run.tasks import Key, Task
from ci_deploy.settings.lines import from_json
from ci_deploy.settings.parsers import NOTHING

SETTING_UP = Task(Key.SETUP)
STAGE = "review"  # of the pipeline


class Base(NamedTuple):
    """What a review app takes from the settings and from its base app. What is unknown is empty."""

    team: str = ""  # its name, as region's and stack's
    region: str = ""
    stack: str = ""
    pipeline: str = ""  # its id
    config: Mapping[str, str] = NOTHING  # the base app's config vars
    readable: bool = True  # whether the key may read its config


def base_of(api: Api, app: App, *, team: str, pipeline: str) -> Base:
    """Fetch the facts of the base app `app`; `team` and `pipeline` (name or id), if not empty,
    replace the base app's own. Raises SettingsError for an unknown pipeline, Unreachable."""
    found, coupling, named = api.get_all(
        Question(app.path, without=REFUSED),
        Question(f"{app.path}/pipeline-couplings", without=REFUSED),
        Question(f"/pipelines/{pipeline}") if pipeline else Question(app.path, without=REFUSED),
    )
    if pipeline and named is None:
        reason = f"there is no pipeline `{pipeline}`, or the key may not see it."
        raise SettingsError(Problem("HEROKU_PIPELINE", reason))
    config: Mapping[str, str] = {}
    readable = True
    try:
        config = app.config()
    except (Unauthorized, NotFound):
        readable = False
    own = (coupling or {}).get("pipeline") or {}
    facts = found or {}
    return Base(
        team=team or str((facts.get("team") or {}).get("name") or ""),
        region=str((facts.get("region") or {}).get("name") or ""),
        stack=str((facts.get("build_stack") or facts.get("stack") or {}).get("name") or ""),
        pipeline=str((named if pipeline else own).get("id") or ""),
        config=config,
        readable=readable,
    )


def guard_urls(review: ReviewApp, base: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    """Raise Refused when a variable of the review app (`wanted`) is the address of a service in
    `base`, the base app's config vars: migrations of the review app would run on its data."""
    hint = (
        "Remove it from APP_CONFIG or REVIEW_CONFIG, and from the review app's config vars; "
        "add-ons in app.json belong to the review app."
    )
    guard_addresses(review, addresses(base), wanted, hint)


def manifest(ctx: Context) -> dict[str, Any] | None:
    """The app.json of the revision, in APP_DIR; None when there is none, or when it is not a JSON
    object. Raises SettingsError for invalid JSON."""
    [text] = ctx.texts("app.json")
    if not text:
        return None
    try:
        found = from_json(text)
    except ValueError as error:
        path = ctx.in_app_dir("app.json")
        raise SettingsError(Problem(path, f"is not valid JSON: {error}.")) from None
    return found if isinstance(found, dict) else None


def review_env(found: Mapping[str, Any]) -> dict[str, str]:
    """The variables that app.json (`found`) sets for review apps only, in
    `environments.review.env`: name → value, without those that have none."""
    env: Any = found
    for name in ("environments", "review", "env"):
        env = env.get(name) if isinstance(env, dict) else None
    if not isinstance(env, dict):
        return {}
    given = {key: value.get("value") if isinstance(value, dict) else value
             for key, value in env.items()}  # fmt: skip
    return {key: str(value) for key, value in given.items() if value is not None}


def addon_names(found: Mapping[str, Any]) -> list[str]:
    """The plans of the add-ons in app.json (`found`), like `heroku-postgresql:mini`."""
    addons = found.get("addons")
    each = addons if isinstance(addons, list) else []
    return [str(one.get("plan") if isinstance(one, dict) else one) for one in each]


class SetUp:
    """The setup of a review app by Heroku, from an archive of the revision and its app.json
    (`found`): `begin` starts it, `finish` waits for its end."""

    def __init__(self, ctx: Context, app: App, base: Base, found: Mapping[str, Any]) -> None:
        self._ctx = ctx
        self._app = app
        self._base = base
        self._manifest = found

    def begin(self, env: Mapping[str, str]) -> Mapping[str, Any] | None:
        """Start the setup, with the variables `env`, which override app.json's; returns the API's
        JSON of it, None when planning. Raises DeployFailed, Unauthorized, Unreachable."""
        ctx, app, base = self._ctx, self._app, self._base
        file = packed(ctx, ctx.revision)
        blob = upload(ctx, app.api, file, ctx.revision)
        facts = {"name": app.name, "organization": base.team, "region": base.region,
                 "stack": base.stack}  # fmt: skip
        body = {
            "source_blob": blob,
            "app": {key: value for key, value in facts.items() if value},
            "overrides": {"env": {**review_env(self._manifest), **env}},
        }
        parts = ", ".join(["its env", *addon_names(self._manifest)])
        what = f"set up {app.name} from app.json ({parts})"
        try:
            found: Mapping[str, Any] | None = app.api.change("POST", "/app-setups", body, what=what)
        except ResponseLost as lost:
            self._lost(lost)
        return found

    def _lost(self, lost: ResponseLost) -> NoReturn:
        """Remove what a setup without a known id may have made, since its end could not be seen.
        Raises DeployFailed."""
        app, hint = self._app, "Verified: nothing of the setup is left. It is safe to retry."
        app.api.look_again()
        if app.exists and MARK in app.config():
            app.destroy()
        elif app.exists:
            hint = f"{app.name} exists now, without ci-deploy's mark: destroy it, then retry."
        raise DeployFailed(lost.message, hint=hint)

    def finish(self, setup: Mapping[str, Any]) -> None:
        """Wait for the end of the setup (the JSON from `begin`), with its output in the log. Raises
        DeployFailed when it has failed, OutcomeUnknown."""
        ctx, what = self._ctx, f"the setup of {self._app.name}"
        output = Output(ctx, what)
        found = until_over(
            ctx,
            setup,
            lambda: self._app.api.get(f"/app-setups/{setup['id']}"),
            what=what,
            output=output,
            stream=lambda each: str((each.get("build") or {}).get("output_stream_url") or ""),
        )
        postdeploy = found.get("postdeploy") or {}
        if said := str(postdeploy.get("output") or ""):
            with ctx.console.child() as sanitizer:
                sanitizer.feed(f"{said.rstrip()}\n".encode())
        if found.get("status") == "succeeded":
            return
        problems = [str(each) for each in found.get("manifest_errors") or []]
        why = "; ".join([str(found.get("failure_message") or "no reason given"), *problems])
        hint = "The next run recreates the app."
        if problems:
            hint = f"REVIEW_CONFIG can set variables that app.json requires without a value. {hint}"
        message = f"{what} has failed: {why.rstrip('.')}."
        raise DeployFailed(message, hint=hint, lines=output.tail)


def couple(api: Api, app: App, pipeline: str) -> None:
    """Add the app to `pipeline` (an id) at the stage `review`, unless it is in a pipeline already.
    Raises DeployFailed, Unauthorized, Unreachable."""

    def done() -> bool:
        try:
            return bool(api.get(f"{app.path}/pipeline-couplings"))
        except NotFound:
            return False

    if done():
        return
    body = {"app": app.name, "pipeline": pipeline, "stage": STAGE}
    what = f"add {app.name} to the pipeline as a review app"
    api.ensure("POST", "/pipeline-couplings", body, what=what, done=done)


def stale(ctx: Context, api: Api, base: str, *, team: str, days: int) -> list[str]:
    """The names of the review apps of `base` that got no release for `days` days, among the apps of
    `team`, or of the key's account if that is empty. The mark counts, not the name, since
    REVIEW_APP_NAME can be anything; and Heroku's clock, since a runner's may be wrong. Raises
    Refused when Heroku's responses have no date."""
    there = api.get_list(f"/teams/{team}/apps" if team else "/apps")
    if not api.now:
        message = "Heroku's responses have no date, so the age of review apps is unknown."
        hint = "No app was removed. Check whether a proxy drops the header `Date`."
        raise Refused(message, hint=hint)
    since = api.now - days * 86400
    found = []
    for each in there:
        name = str(each.get("name"))
        last = str(each.get("released_at") or each.get("created_at") or "")
        if name == base or not last or _seconds(last) >= since:
            continue
        try:
            config = App(ctx, api, name).config()
        except DeployError as error:
            ctx.console.debug(f"{name}: {error}")
            continue
        if marked(config, base):
            found.append(name)
    return found


def _seconds(timestamp: str) -> float:
    """Unix time of an ISO 8601 timestamp."""
    return datetime.fromisoformat(timestamp).timestamp()
