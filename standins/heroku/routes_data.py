"""Attachments of databases, and the data API: backups and restores of Heroku Postgres.

Written from the CLI's own source (commands/pg/backups, lib/pg) and from an answer that a user has
published (coorasse/heroku-api-postgres#7). The real one has a host of its own.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from standins.heroku.model import Addon, App, Transfer
from standins.heroku.registry import Answer, RefusedError, Request, StrangeError, route
from standins.heroku.routes_apps import app_of

if TYPE_CHECKING:
    from standins.heroku.server import HerokuStandIn

INCLUDE = "addon:plan,config_vars"


def _attached(server: HerokuStandIn, request: Request, app: App) -> list[dict[str, Any]]:
    if request.headers.get("accept-inclusion") != INCLUDE:
        message = f"{request.method} {request.path}: Accept-Inclusion is not {INCLUDE}"
        raise StrangeError(message)
    return [
        {
            "id": f"{each.id}-{name}",
            "name": name,
            "namespace": None,
            "app": {"id": app.id, "name": app.name},
            "addon": {
                "id": each.id,
                "name": each.name,
                "app": {"id": app_of(server, each.app).id, "name": each.app},
                "plan": {"id": "0123", "name": each.plan},
            },
            "config_vars": [f"{name}_URL"],
        }
        for each in server.platform.databases.values()
        for owner, name in each.attachments
        if owner == app.name
    ]


@route("GET /apps/{name}/addon-attachments")
def attachments(server: HerokuStandIn, request: Request, name: str) -> Answer:
    return Answer(_attached(server, request, app_of(server, name)))


@route("POST /actions/addon-attachments/resolve")
def resolve(server: HerokuStandIn, request: Request) -> Answer:
    """How the CLI finds a database."""
    body = request.only("addon_attachment", "app", needed=["addon_attachment", "app"])
    wanted = body["addon_attachment"].removesuffix("_URL")
    listed = _attached(server, request, app_of(server, body["app"]))
    if found := [each for each in listed if each["name"] == wanted]:
        return Answer(found)
    raise RefusedError(404, "not_found", "Couldn't find that add on attachment.")


# --- the data API ---


def _database(server: HerokuStandIn, identity: str) -> Addon:
    if found := server.platform.databases.get(identity):
        return found
    raise RefusedError(404, "not_found", "Not found.")


def _time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S +0000")


def _told(each: Transfer, *, verbose: bool = False) -> dict[str, Any]:
    """As in the published answer; the log only when it is asked for."""
    backup, how = each.kind == "backup", each.how
    end = each.ends if each.over else None
    good = how.transfer != "fail"
    size = 0 if how.transfer == "empty" or not good else 12345
    log = [{"created_at": _time(each.began), "level": "info", "message": line}
           for line in how.transfer_log]  # fmt: skip
    return {
        "uuid": each.uuid,
        "num": each.num,
        "from_name": each.from_name if backup else "BACKUP",
        "from_type": "pg_dump" if backup else "htcat",
        "from_url": each.addon.url if backup else each.to_url,
        "to_name": "BACKUP" if backup else each.from_name,
        "to_type": "gof3r" if backup else "pg_restore",
        "to_url": each.to_url if backup else each.addon.url,
        "options": {},
        "schedule": {"uuid": each.uuid} if each.schedule else None,
        "source_bytes": 98765,
        "processed_bytes": size if each.over else 0,
        "succeeded": good if each.over else None,
        "warnings": how.transfer_warnings,
        "created_at": _time(each.began),
        "started_at": _time(each.began),
        "canceled_at": None,
        "updated_at": _time(time.time()),
        "finished_at": _time(end),
        "deleted_at": None,
        "purged_at": None,
        "num_keep": 25,
        **({"logs": log} if verbose else {}),
    }


@route("GET /client/v11/databases/{identity}")
def database(server: HerokuStandIn, request: Request, identity: str) -> Answer:
    found = _database(server, identity)
    info = [{"name": "Continuous Protection", "values": ["Off"]}]
    return Answer({"addon_id": found.id, "name": found.name, "info": info})


def begin(server: HerokuStandIn, addon: Addon, kind: str, **more: Any) -> Transfer:
    """A transfer begins, as somebody else may have begun it."""
    app = app_of(server, addon.app)
    made = Transfer(addon, len(server.platform.transfers) + 1, kind, app.behaviour, **more)
    server.platform.transfers.append(made)
    return made


def _free(server: HerokuStandIn, addon: Addon) -> None:
    if any(each.addon is addon and not each.over for each in server.platform.transfers):
        raise RefusedError(422, "invalid_params", "a transfer is currently in progress")


@route("POST /client/v11/databases/{identity}/backups")
def capture(server: HerokuStandIn, request: Request, identity: str) -> Answer:
    request.only()
    found = _database(server, identity)
    _free(server, found)
    own = [name for owner, name in found.attachments if owner == found.app]
    made = begin(server, found, "backup", from_name=own[0] if own else found.name)
    return Answer(_told(made), 201)


def _transfers(server: HerokuStandIn, name: str) -> list[Transfer]:
    app = app_of(server, name)
    return [each for each in server.platform.transfers if each.addon.app == app.name]


@route("GET /client/v11/apps/{name}/transfers")
def transfers(server: HerokuStandIn, request: Request, name: str) -> Answer:
    return Answer([_told(each) for each in _transfers(server, name)])


@route("GET /client/v11/apps/{name}/transfers/{identity}")
def transfer(server: HerokuStandIn, request: Request, name: str, identity: str) -> Answer:
    if request.query not in {"", "verbose=true"}:
        message = f"{request.method} {request.path}?{request.query}"
        raise StrangeError(message)
    for each in _transfers(server, name):
        if identity in {each.uuid, str(each.num)}:
            return Answer(_told(each, verbose=bool(request.query)))
    raise RefusedError(404, "not_found", "Not found.")
