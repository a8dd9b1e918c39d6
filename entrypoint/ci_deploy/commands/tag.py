"""The command `tag`: prints DEPLOY_TAG, for the job that builds the image."""

from __future__ import annotations

import argparse

from ci_deploy.commands.assembly import Assembly
from ci_deploy.commands.shared import answer
from ci_deploy.errors import Problem, SettingsError


def tag(assembly: Assembly, options: argparse.Namespace) -> int:  # noqa: ARG001
    """Print DEPLOY_TAG (`deploy_tag`) to stdout. Returns 0. Raises SettingsError."""
    answer(f"{deploy_tag(assembly)}\n")
    return 0


def deploy_tag(assembly: Assembly) -> str:
    """DEPLOY_TAG as it is set, else the build number, `_` and the first seven characters of the
    revision. Raises SettingsError when it is invalid, or not set and the CI platform gives no build
    number or revision."""
    facts = assembly.ci.context
    tag = next(each for each in assembly.every if each.name == "DEPLOY_TAG")
    if given := assembly.source.find(tag):
        try:
            return str(tag.convert(given.text))
        except ValueError as error:
            raise SettingsError(Problem(tag.name, str(error), given.origin)) from None
    if not (facts.build and facts.revision):
        reason = "is required, since this CI provides no build number and revision to derive it."
        raise SettingsError(Problem("DEPLOY_TAG", reason))
    return f"{facts.build}_{facts.revision[:7]}"
