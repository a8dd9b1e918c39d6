"""What an app's files (Procfile, app.json) make Dokku run, and which of them Dokku ignores."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from ci_deploy.errors import Unauthorized
from ci_deploy.layers.providers.dokku.server import DokkuServer
from ci_deploy.layers.providers.methods import BOM, PROCFILE, in_repository, release_phase
from ci_deploy.run.context import Context
from ci_deploy.settings import parsers as values

APP_JSON, APP_YML, SCALE = "app.json", "app.yml", "DOKKU_SCALE"


class Places(NamedTuple):
    """Where Dokku finds an app's files: their paths, relative to APP_DIR in the repository."""

    procfile: str = PROCFILE
    app_json: str = APP_JSON


USUAL = Places()


def places(server: DokkuServer, app: str, *, ours: Collection[str], folder: str) -> Places:
    """Where Dokku looks for the files, by the app's properties on the server: `procfile-path`,
    `appjson-path` and, without APP_DIR (`folder`), a `build-dir` that is not one of `ours`. The
    default places for a property that an old version lacks or our key may not query."""
    found = _set(
        server,
        ["ps:report", app, "--ps-computed-procfile-path"],
        ["builder:report", app, "--builder-computed-build-dir"],
    )
    procfile, built = found or ("", "")
    [app_json] = _set(server, ["app-json:report", app, "--app-json-computed-appjson-path"]) or [""]
    above = f"{built}/" if built and not folder and built not in ours else ""
    return Places(f"{above}{procfile or PROCFILE}", f"{above}{app_json or APP_JSON}")


def _set(server: DokkuServer, *questions: Sequence[str]) -> list[str]:
    """The paths that reports answer; an empty list if the key may not ask for one of them."""
    with contextlib.suppress(Unauthorized):
        told = server.ask(*questions)
        return ["" if each.exit_code else in_repository(each.text.strip()) for each in told]
    return []


def tasks(ctx: Context, where: Places = USUAL) -> Mapping[str, str]:
    """The commands of this run's revision that Dokku runs by itself at a deploy: where each is
    configured, like "the Procfile's `release:`" → command. Empty for files that are missing or
    cannot be parsed."""
    procfile, app_json = ctx.texts(where.procfile, where.app_json)
    found = release_phase(procfile, where.procfile)
    scripts = _parsed(app_json).get("scripts")
    own = scripts.get("dokku") if isinstance(scripts, dict) else None
    for name, command in own.items() if isinstance(own, dict) else ():
        found[f"{where.app_json}'s `scripts.dokku.{name}`"] = str(command)
    return found


def hints(ctx: Context) -> list[str]:
    """Warnings, a sentence each, about this run's revision: `addons` in app.json, app.yml and
    DOKKU_SCALE, which Dokku ignores; an app.json that is not JSON; byte order marks. Looks at the
    usual places in APP_DIR; empty while no revision is chosen."""
    files, found = _files(ctx), []
    addons = _parsed(files[APP_JSON]).get("addons")
    if isinstance(addons, list | dict) and addons:
        names = ", ".join(map(str, addons))
        found.append(f"app.json names addons ({names}), which Dokku ignores: use DOKKU_SERVICES.")
    try:
        values.jsonc(files[APP_JSON] or "{}")
    except ValueError as error:
        found.append(
            f"app.json is not valid JSON: {error}. Dokku may reject it; ci-deploy ignores it."
        )
    found += [
        f"{name} begins with a byte order mark, which Dokku may not understand: save it as "
        "UTF-8 without one."
        for name in (PROCFILE, APP_JSON)
        if files[name].startswith(BOM)
    ]
    if files[APP_YML]:
        found.append("the repository has an app.yml, which Dokku ignores: it reads app.json.")
    if files[SCALE]:
        found.append(
            "the repository has a DOKKU_SCALE, which Dokku ignores since 0.30: use `formation` in "
            "app.json."
        )
    return found


def _files(ctx: Context) -> Mapping[str, str]:
    """The texts of the files that matter here; empty for missing ones."""
    names = (PROCFILE, APP_JSON, APP_YML, SCALE)
    return dict(zip(names, ctx.texts(*names), strict=True))


def _parsed(app_json: str) -> dict[str, Any]:
    try:
        found = values.jsonc(app_json or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
