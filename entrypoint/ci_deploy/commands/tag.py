"""The command `tag`: prints DEPLOY_TAG or its default, for the job that builds the image."""

from __future__ import annotations

import argparse

from ci_deploy.commands.assembly import Assembly
from ci_deploy.commands.shared import answer
from ci_deploy.errors import Problem, SettingsError


def tag(assembly: Assembly, options: argparse.Namespace) -> int:  # noqa: ARG001
    """Print the tag (`deploy_tag`) and a line end to stdout. Returns 0. Raises SettingsError."""
    answer(f"{deploy_tag(assembly)}\n")
    return 0


def deploy_tag(assembly: Assembly) -> str:
    """DEPLOY_TAG as it is set, else its default, build number and short revision like `75_db4b44b`.
    Raises SettingsError when it is invalid, or when it is not set and the CI platform gives no
    build number or no revision."""
    facts = assembly.ci.context
    tag = next(each for each in assembly.every if each.name == "DEPLOY_TAG")
    if given := assembly.source.find(tag):
        try:
            return str(tag.convert(given.text))
        except ValueError as error:
            raise SettingsError(Problem(tag.name, str(error), given.origin)) from None
    if not facts.deploy_tag:
        known = {"build number": facts.build, "revision": facts.revision}
        lacking = " and ".join(f"no {name}" for name, value in known.items() if not value)
        reason = f"is not set, and has no default, since {lacking} of this job is known."
        remedy = "Set DEPLOY_TAG to the tag of the image."
        raise SettingsError(Problem("DEPLOY_TAG", reason, "", remedy, missing=True))
    return facts.deploy_tag
