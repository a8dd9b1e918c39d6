"""Accounts, apps, config, formation, dynos."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from standins.heroku import answers
from standins.heroku.model import App, Stream, timestamp
from standins.heroku.registry import Answer, RefusedError, Request, route

if TYPE_CHECKING:
    from standins.heroku.server import HerokuStandIn


def app_of(server: HerokuStandIn, identity: str) -> App:
    """The app, or Heroku's 404."""
    app = server.platform.find(identity)
    if app is None:
        raise RefusedError(404, "not_found", "Couldn't find that app.")
    return app


@route("GET /account")
def account(server: HerokuStandIn, request: Request) -> Answer:
    return Answer({"id": "0123", "email": server.platform.account})


@route("GET /apps")
@route("GET /teams/{team}/apps")
def apps(server: HerokuStandIn, request: Request, team: str = "") -> Answer:
    """In pages: the header Next-Range of the answer is the Range of the next question."""
    listed = [app for app in server.platform.apps.values() if not team or app.team == team]
    listed.sort(key=lambda app: app.name)
    if wanted := request.headers.get("range"):
        start = wanted.removeprefix("name ]").partition("..")[0]
        listed = [app for app in listed if app.name > start]
    shown = listed[: server.page_size]
    answer = Answer([answers.app(app, server.url) for app in shown])
    if len(shown) < len(listed):
        answer.status = 206
        answer.headers["Next-Range"] = f"name ]{shown[-1].name}..; max={server.page_size}"
    return answer


@route("POST /apps")
@route("POST /teams/apps")
def create(server: HerokuStandIn, request: Request) -> Answer:
    team = request.path.startswith("/teams")
    names = ("name", "region", "stack", *(["team"] if team else []))
    body = request.only(*names, needed=["name", *(["team"] if team else [])])
    try:
        app = server.platform.create_app(**body)
    except ValueError as error:
        raise RefusedError(422, "invalid_params", str(error)) from None
    return Answer(answers.app(app, server.url), 201)


@route("GET /apps/{name}")
def show(server: HerokuStandIn, request: Request, name: str) -> Answer:
    return Answer(answers.app(app_of(server, name), server.url))


@route("PATCH /apps/{name}")
def change(server: HerokuStandIn, request: Request, name: str) -> Answer:
    app = app_of(server, name)
    app.maintenance = request.only("maintenance", needed=["maintenance"])["maintenance"]
    return Answer(answers.app(app, server.url))


@route("DELETE /apps/{name}")
def destroy(server: HerokuStandIn, request: Request, name: str) -> Answer:
    app = app_of(server, name)
    server.platform.apps.pop(app.name)
    for pipeline in server.platform.pipelines.values():
        pipeline.stages.pop(app.id, None)
    return Answer(answers.app(app, server.url))


# --- config ---


@route("GET /apps/{name}/config-vars")
def config(server: HerokuStandIn, request: Request, name: str) -> Answer:
    return Answer(app_of(server, name).config)


@route("PATCH /apps/{name}/config-vars")
def set_config(server: HerokuStandIn, request: Request, name: str) -> Answer:
    app = app_of(server, name)
    changes = request.body
    app.config.update({key: value for key, value in changes.items() if value is not None})
    for key in [key for key, value in changes.items() if value is None]:
        app.config.pop(key, None)
    slug = app.current.slug if app.current else None
    server.platform.release(app, f"Set {', '.join(changes)} config vars", slug)
    return Answer(app.config)


# --- processes ---


@route("GET /apps/{name}/formation")
def formation(server: HerokuStandIn, request: Request, name: str) -> Answer:
    return Answer([answers.scale(each) for each in app_of(server, name).formation.values()])


@route("PATCH /apps/{name}/formation")
def scale(server: HerokuStandIn, request: Request, name: str) -> Answer:
    app = app_of(server, name)
    changed = []
    for update in request.only("updates", needed=["updates"])["updates"]:
        found = app.formation.get(update["type"])
        if found is None:
            message = f"Couldn't find that process type ({update['type']})."
            raise RefusedError(404, "not_found", message)
        found.quantity = update["quantity"]
        server.platform.restart(app, found.type)
        changed.append(answers.scale(found))
    return Answer(changed)


@route("GET /apps/{name}/dynos")
def dynos(server: HerokuStandIn, request: Request, name: str) -> Answer:
    return Answer([answers.dyno(each) for each in app_of(server, name).dynos])


@route("POST /apps/{name}/dynos")
def run(server: HerokuStandIn, request: Request, name: str) -> Answer:
    """Only attached: the output of the others goes to the log alone."""
    body = request.only(
        "command", "attach", "env", "force_no_tty", "size", "type", "time_to_live",
        needed=["command", "attach"],
    )  # fmt: skip
    dyno, url = server.rendezvous.start(app_of(server, name), body)
    return Answer({**answers.dyno(dyno), "attach_url": url}, 201)


@route("DELETE /apps/{name}/dynos")
def restart_all(server: HerokuStandIn, request: Request, name: str) -> Answer:
    app = app_of(server, name)
    if lag := app.behaviour.restart_lag:
        timer = threading.Timer(lag, server.platform.restart, [app])
        timer.daemon = True
        timer.start()
    else:
        server.platform.restart(app)
    return Answer({}, 202)


@route("DELETE /apps/{name}/formations/{kind}")
def restart(server: HerokuStandIn, request: Request, name: str, kind: str) -> Answer:
    app = app_of(server, name)
    if kind not in app.formation:
        raise RefusedError(404, "not_found", f"Couldn't find that process type ({kind}).")
    server.platform.restart(app, kind)
    return Answer({}, 202)


@route("POST /apps/{name}/dynos/{dyno}/actions/stop")
def stop(server: HerokuStandIn, request: Request, name: str, dyno: str) -> Answer:
    app = app_of(server, name)
    if not server.rendezvous.stop(app, dyno):
        raise RefusedError(404, "not_found", "Couldn't find that dyno.")
    return Answer({}, 202)


@route("POST /apps/{name}/log-sessions")
def log_session(server: HerokuStandIn, request: Request, name: str) -> Answer:
    """The address of what its dynos have written, which goes on with `tail`."""
    app = app_of(server, name)
    body = request.only("dyno", "lines", "source", "tail")
    wanted, stream = body.get("dyno", ""), Stream()
    lines = [
        f"{timestamp()} app[{dyno}]: {line}"
        for dyno, line in app.log
        if wanted in {"", dyno, dyno.partition(".")[0]}
    ]
    stream.write(*lines[-int(body.get("lines", 100)) :])
    if not body.get("tail"):
        stream.close()
    server.platform.streams[stream.id] = stream
    return Answer({"id": stream.id, "logplex_url": f"{server.url}/_streams/{stream.id}"}, 201)
