"""What Heroku runs by itself at a deploy."""

from __future__ import annotations

from collections.abc import Mapping

from ci_deploy.context import Context


def tasks(ctx: Context) -> Mapping[str, str]:
    """Where it is written → the command: the release phase of the Procfile.

    app.json's postdeploy is left out: it runs once, when a review app is set up.
    """
    folder = f"{ctx.settings.app_dir}/" if ctx.settings.app_dir else ""
    name = f"{folder}Procfile"
    [procfile] = ctx.repository.files(ctx.revision, name) if ctx.revision else [""]
    for line in procfile.removeprefix("\ufeff").splitlines():
        name, _, command = line.partition(":")
        if name.strip() == "release":
            return {"the Procfile's `release:`": command.strip()}
    return {}
