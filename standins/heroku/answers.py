"""What the Platform API answers: the model as JSON."""

from __future__ import annotations

from typing import Any

from standins.heroku.model import App, Build, Dyno, Pipeline, Release, Scale, Slug


def app(each: App, base: str) -> dict[str, Any]:
    """An app."""
    return {
        "id": each.id,
        "name": each.name,
        "created_at": each.created_at,
        "released_at": each.released_at,
        "maintenance": each.maintenance,
        "region": {"name": each.region},
        "stack": {"name": each.stack},
        "team": {"name": each.team} if each.team else None,
        "owner": {"email": each.owner},
        "web_url": f"{base}/_web/{each.name}/",
        "git_url": f"{base}/{each.name}.git",
    }


def release(each: Release, base: str) -> dict[str, Any]:
    """A release."""
    gone = bool(each.slug and each.slug.gone)
    return {
        "id": each.id,
        "version": each.version,
        "description": each.description,
        "status": "expired" if gone and each.status == "succeeded" else each.status,
        "current": each.current,
        "slug": {"id": each.slug.id} if each.slug else None,
        "output_stream_url": f"{base}/_streams/{each.stream.id}" if each.stream else None,
        "created_at": each.created_at,
        "user": {"email": "jane@example.com"},
        "eligible_for_rollback": each.status == "succeeded" and bool(each.slug) and not gone,
    }


def slug(each: Slug, *, names_commit: bool) -> dict[str, Any]:
    """A slug."""
    return {
        "id": each.id,
        "commit": each.commit if names_commit else None,
        "process_types": each.process_types,
    }


def build(each: Build, base: str) -> dict[str, Any]:
    """A build."""
    return {
        "id": each.id,
        "status": each.status,
        "created_at": each.created_at,
        "output_stream_url": f"{base}/_streams/{each.stream.id}",
        "source_blob": {"version": each.version, "url": None},
        "slug": {"id": each.slug.id} if each.slug else None,
        "release": {"id": each.release.id} if each.release else None,
        "user": {"email": "jane@example.com"},
    }


def dyno(each: Dyno) -> dict[str, Any]:
    """A dyno."""
    version = each.release.version if each.release else 0
    return {
        "id": each.id,
        "name": each.name,
        "type": each.type,
        "command": each.command,
        "state": each.state,
        "created_at": each.created_at,
        "release": {"id": each.release.id if each.release else None, "version": version},
    }


def scale(each: Scale) -> dict[str, Any]:
    """A process type of the formation."""
    return {
        "id": each.id,
        "type": each.type,
        "quantity": each.quantity,
        "size": each.size,
        "command": each.command,
    }


def coupling(pipeline: Pipeline, app_id: str) -> dict[str, Any]:
    """The place of an app in a pipeline."""
    return {
        "id": f"{pipeline.id[:8]}-{app_id[:8]}",
        "app": {"id": app_id},
        "pipeline": {"id": pipeline.id, "name": pipeline.name},
        "stage": pipeline.stages[app_id],
    }
