"""The commands that Heroku runs by itself at a deploy."""

from __future__ import annotations

from collections.abc import Mapping

from ci_deploy.run.context import Context


def tasks(ctx: Context) -> Mapping[str, str]:
    """The Procfile's release phase: where configured → command.

    app.json's postdeploy is left out: it runs once, when a review app is set up.
    """
    [procfile] = ctx.texts("Procfile")
    for line in procfile.removeprefix("\ufeff").splitlines():
        name, _, command = line.partition(":")
        if name.strip() == "release":
            return {"the Procfile's `release:`": command.strip()}
    return {}
