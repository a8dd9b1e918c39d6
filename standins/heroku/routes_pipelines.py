"""Pipelines, promotions, and apps that are set up from their app.json."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from standins.heroku import answers
from standins.heroku.model import App, Build, Pipeline, Release, new_id
from standins.heroku.registry import Answer, RefusedError, Request, StrangeError, route
from standins.heroku.routes_apps import app_of
from standins.heroku.routes_releases import unpacked

if TYPE_CHECKING:
    from standins.heroku.server import HerokuStandIn

STAGES = {"test", "review", "development", "staging", "production"}


def _pipeline(server: HerokuStandIn, identity: str) -> Pipeline:
    for each in server.platform.pipelines.values():
        if identity in {each.id, each.name}:
            return each
    raise RefusedError(404, "not_found", "Couldn't find that pipeline.")


@route("GET /pipelines/{identity}")
def pipeline(server: HerokuStandIn, request: Request, identity: str) -> Answer:
    found = _pipeline(server, identity)
    return Answer({"id": found.id, "name": found.name})


@route("GET /apps/{name}/pipeline-couplings")
def coupling(server: HerokuStandIn, request: Request, name: str) -> Answer:
    app = app_of(server, name)
    for each in server.platform.pipelines.values():
        if app.id in each.stages:
            return Answer(answers.coupling(each, app.id))
    raise RefusedError(404, "not_found", "Couldn't find that pipeline coupling.")


@route("GET /pipelines/{identity}/pipeline-couplings")
def couplings(server: HerokuStandIn, request: Request, identity: str) -> Answer:
    found = _pipeline(server, identity)
    return Answer([answers.coupling(found, app) for app in found.stages])


@route("POST /pipeline-couplings")
def couple(server: HerokuStandIn, request: Request) -> Answer:
    names = ("app", "pipeline", "stage")
    body = request.only(*names, needed=names)
    found, app = _pipeline(server, body["pipeline"]), app_of(server, body["app"])
    if body["stage"] not in STAGES:
        raise RefusedError(422, "invalid_params", "Stage is not included in the list.")
    found.stages[app.id] = body["stage"]
    return Answer(answers.coupling(found, app.id), 201)


# --- promotions ---


@route("POST /pipeline-promotions")
def promote(server: HerokuStandIn, request: Request) -> Answer:
    names = ("pipeline", "source", "targets")
    body = request.only(*names, needed=names)
    found = _pipeline(server, body["pipeline"]["id"])
    source = app_of(server, body["source"]["app"]["id"])
    targets = [app_of(server, each["app"]["id"]) for each in body["targets"]]
    if any(app.id not in found.stages for app in [source, *targets]):
        raise RefusedError(422, "invalid_params", "The app is not in the pipeline.")
    current = source.current
    if current is None or current.slug is None:
        raise RefusedError(422, "invalid_params", "The source app has nothing to promote.")
    identity = new_id()
    results: list[tuple[App, Release | None, str]] = []
    for app in targets:
        if app.behaviour.build == "fail":  # here: Heroku cannot promote to it
            results.append((app, None, "the slug could not be copied"))
            continue
        words = f"Promote {source.name} v{current.version}"
        results.append((app, server.platform.release(app, words, current.slug), ""))
    server.promotions[identity] = results
    return Answer({"id": identity, "status": "pending"}, 201)


@route("GET /pipeline-promotions/{identity}/promotion-targets")
def targets(server: HerokuStandIn, request: Request, identity: str) -> Answer:
    told = []
    for app, release, error in server.promotions[identity]:
        status = "failed" if error else "pending"
        if release:
            status = {"expired": "failed"}.get(release.status, release.status)
        named = {"id": release.id} if release else None
        told.append({"app": {"id": app.id}, "status": status, "error_message": error or None,
                     "release": named})  # fmt: skip
    return Answer(told)


# --- app setups ---


@route("POST /app-setups")
def set_up(server: HerokuStandIn, request: Request) -> Answer:
    body = request.only("source_blob", "app", "overrides", needed=["source_blob"])
    wanted = body.get("app", {})
    if set(wanted) - {"name", "organization", "personal", "region", "stack"}:
        message = f"POST /app-setups: unknown fields in app: {sorted(wanted)}"
        raise StrangeError(message)
    files = unpacked(server, body["source_blob"])
    if "app.json" not in files:
        raise RefusedError(422, "invalid_params", "The source has no app.json.")
    manifest = json.loads(files["app.json"])
    facts = {key: wanted[key] for key in ("region", "stack") if key in wanted}
    try:
        app = server.platform.create_app(
            wanted["name"], team=wanted.get("organization", ""), **facts
        )
    except ValueError as error:
        raise RefusedError(422, "invalid_params", str(error)) from None
    setup: dict[str, Any] = {
        "id": new_id(), "status": "pending", "failure_message": None, "manifest_errors": [],
        "app": {"id": app.id, "name": app.name}, "build": None, "postdeploy": None,
    }  # fmt: skip
    server.setups[setup["id"]] = setup
    app.behaviour = server.behaviour_of_new_apps
    overrides = body.get("overrides", {}).get("env", {})
    missing = _configure(app, manifest, overrides)
    if missing:
        setup.update(status="failed", failure_message="invalid app.json")
        setup["manifest_errors"] = [f"env {key} is required" for key in missing]
        return Answer(setup, 202)

    def then(build: Build) -> None:
        threading.Thread(target=_finish, args=(server, setup, app, build, manifest)).start()

    version = body["source_blob"].get("version", "")
    build = server.platform.build(app, version, files.get("Procfile", ""), then)
    setup["build"] = answers.build(build, server.url)
    return Answer(setup, 202)


def _configure(app: App, manifest: dict[str, Any], overrides: dict[str, str]) -> list[str]:
    missing = []
    for key, given in manifest.get("env", {}).items():
        given = {"value": given} if isinstance(given, str) else given
        if key in overrides:
            continue
        if given.get("generator") == "secret":
            app.config[key] = new_id()
        elif "value" in given:
            app.config[key] = given["value"]
        elif given.get("required", True):
            missing.append(key)
    app.config.update(overrides)
    for addon in manifest.get("addons", []):
        app.addons.append(addon)
        app.config["DATABASE_URL"] = f"postgres://{new_id()}@db.example.com/{app.name}"
    app.releases[-1].config = dict(app.config)
    return missing


def _finish(
    server: HerokuStandIn,
    setup: dict[str, Any],
    app: App,
    build: Build,
    manifest: dict[str, Any],
) -> None:
    setup["build"] = answers.build(build, server.url)
    while build.release and build.release.status == "pending":
        if server.platform.ended.wait(0.05):
            return
    released = build.release is not None and build.release.status == "succeeded"
    if not released:
        setup.update(status="failed", failure_message="app did not build")
        return
    if script := manifest.get("scripts", {}).get("postdeploy"):
        code = app.behaviour.postdeploy
        setup["postdeploy"] = {"output": f"ran {script}\n", "exit_code": code}
        if code:
            setup.update(status="failed", failure_message="postdeploy exit code was not 0")
            return
    setup["status"] = "succeeded"


@route("GET /app-setups/{identity}")
def setup(server: HerokuStandIn, request: Request, identity: str) -> Answer:
    return Answer(server.setups[identity])
