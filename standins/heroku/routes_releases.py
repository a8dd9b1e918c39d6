"""Releases, slugs, sources, builds."""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from typing import TYPE_CHECKING, Any

from standins.heroku import answers
from standins.heroku.model import App, Build, Release, new_id
from standins.heroku.registry import Answer, RefusedError, Request, StrangeError, route
from standins.heroku.routes_apps import app_of

if TYPE_CHECKING:
    from standins.heroku.server import HerokuStandIn


NEWEST = r"{} \.\.; ?(?:order=desc,max=(\d+)|max=(\d+), ?order=desc);?"


def newest(request: Request, items: list[Any], field: str) -> Answer:
    """The newest of a list, as the header Range asks: `version ..; order=desc,max=10`."""
    wanted = request.headers.get("range", "")
    if not wanted:
        return Answer(items)
    match = re.fullmatch(NEWEST.format(field), wanted)
    if not match:
        message = f"{request.method} {request.path}: Range: {wanted}"
        raise StrangeError(message)
    size, items = int(match[1] or match[2]), items[::-1]
    if len(items) <= size:
        return Answer(items)
    more = {"Next-Range": f"{field} ..{items[size - 1][field]}[; order=desc,max={size}"}
    return Answer(items[:size], 206, more)


# --- releases ---


def _release(app: App, identity: str) -> Release:
    for each in app.releases:
        if identity in {each.id, str(each.version)}:
            return each
    raise RefusedError(404, "not_found", "Couldn't find that release.")


@route("GET /apps/{name}/releases")
def releases(server: HerokuStandIn, request: Request, name: str) -> Answer:
    app = app_of(server, name)
    listed = [answers.release(each, server.url) for each in app.releases]
    return newest(request, listed, "version")


@route("GET /apps/{name}/releases/{identity}")
def release(server: HerokuStandIn, request: Request, name: str, identity: str) -> Answer:
    return Answer(answers.release(_release(app_of(server, name), identity), server.url))


@route("POST /apps/{name}/releases")
def create(server: HerokuStandIn, request: Request, name: str) -> Answer:
    """A slug again, or back to a release with its config."""
    app, body = app_of(server, name), request.only("slug", "description", "release")
    if "release" in body:
        old = _release(app, body["release"])
        if old.status != "succeeded" or old.slug is None or old.slug.gone:
            message = f"Cannot roll back to v{old.version}: its slug is not available."
            raise RefusedError(422, "invalid_params", message)
        new = server.platform.release(app, f"Rollback to v{old.version}", old.slug, old.config)
    else:
        slugs = {each.slug.id: each.slug for each in app.releases if each.slug}
        slug = slugs.get(body.get("slug", ""))
        if slug is None or slug.gone:
            raise RefusedError(422, "invalid_params", "Couldn't find that slug.")
        new = server.platform.release(app, body.get("description", "Release"), slug)
    return Answer(answers.release(new, server.url), 201)


@route("GET /apps/{name}/slugs/{identity}")
def slug(server: HerokuStandIn, request: Request, name: str, identity: str) -> Answer:
    app = app_of(server, name)
    for each in app.releases:
        if each.slug and each.slug.id == identity and not each.slug.gone:
            return Answer(answers.slug(each.slug, names_commit=app.behaviour.names_commit))
    raise RefusedError(404, "not_found", "Couldn't find that slug.")


# --- builds ---


@route("POST /sources")
@route("POST /apps/{name}/sources")
def sources(server: HerokuStandIn, request: Request, name: str = "") -> Answer:
    identity = new_id()
    server.sources[identity] = b""
    url = f"{server.url}/_sources/{identity}"
    return Answer({"source_blob": {"put_url": f"{url}?put", "get_url": f"{url}?get"}}, 201)


def unpacked(server: HerokuStandIn, blob: dict[str, Any]) -> dict[str, str]:
    """The small texts of a source that was uploaded, by name. Raises Refused."""
    identity = blob["url"].rpartition("/")[2].partition("?")[0]
    data = server.sources.get(identity, b"")
    if not blob["url"].endswith("?get") or not data:
        raise RefusedError(422, "invalid_params", "The source cannot be fetched.")
    digest = hashlib.sha256(data).hexdigest()
    if blob.get("checksum", f"SHA256:{digest}") != f"SHA256:{digest}":
        raise RefusedError(422, "invalid_params", "The checksum does not match.")
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        return {
            member.name.removeprefix("./"): file.read().decode(errors="replace")
            for member in archive
            if member.isfile() and (file := archive.extractfile(member))
        }


@route("POST /apps/{name}/builds")
def build(server: HerokuStandIn, request: Request, name: str) -> Answer:
    app = app_of(server, name)
    blob = request.only("source_blob", needed=["source_blob"])["source_blob"]
    if set(blob) - {"url", "version", "checksum"}:
        message = f"POST /apps/{name}/builds: unknown fields in {sorted(blob)}"
        raise StrangeError(message)
    files = unpacked(server, blob)
    begun = server.platform.build(app, blob.get("version", ""), files.get("Procfile", ""))
    server.uploads[begun.id] = files
    return Answer(answers.build(begun, server.url), 201)


def _build(app: App, identity: str) -> Build:
    for each in app.builds:
        if each.id == identity:
            return each
    raise RefusedError(404, "not_found", "Couldn't find that build.")


@route("GET /apps/{name}/builds/{identity}")
def show(server: HerokuStandIn, request: Request, name: str, identity: str) -> Answer:
    return Answer(answers.build(_build(app_of(server, name), identity), server.url))


@route("GET /apps/{name}/builds")
def builds(server: HerokuStandIn, request: Request, name: str) -> Answer:
    if not request.headers.get("range"):  # the newest would be missing among 200 by their ids
        message = f"{request.method} {request.path} without a Range"
        raise StrangeError(message)
    listed = [answers.build(each, server.url) for each in app_of(server, name).builds]
    return newest(request, listed, "created_at")
