"""The commands that Heroku runs by itself at a deploy."""

from __future__ import annotations

from collections.abc import Mapping

from ci_deploy.layers.providers.methods import PROCFILE, in_repository, release_phase
from ci_deploy.run.context import Context

# Config vars of buildpacks for repositories with several apps: where the Procfile is, and which
# directory is built instead of the root (multi-procfile; subdir and monorepo).
PATH, FOLDERS = "PROCFILE", ("PROJECT_PATH", "APP_BASE")


def tasks(ctx: Context, config: Mapping[str, str]) -> Mapping[str, str]:
    """The Procfile's release phase: where configured → command; empty without one. `config`: the
    app's config vars, or {} if the key may not read them.

    app.json's postdeploy is left out: it runs once, when a review app is set up.
    """
    above = filter(None, (in_repository(config.get(name, "")) for name in FOLDERS))
    named = [in_repository(config.get(PATH, "")), *(f"{each}/{PROCFILE}" for each in above)]
    paths = [*filter(None, named), PROCFILE]
    texts = zip(paths, ctx.texts(*paths), strict=True)
    path, text = next((each for each in texts if each[1]), (PROCFILE, ""))
    return release_phase(text, path)
