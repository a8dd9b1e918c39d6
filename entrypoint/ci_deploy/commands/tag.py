"""`tag`: DEPLOY_TAG, for the job that builds the image."""

from __future__ import annotations

import argparse

from ci_deploy.commands.assembly import Assembly
from ci_deploy.commands.shared import answer
from ci_deploy.errors import Problem, SettingsError


def tag(assembly: Assembly, options: argparse.Namespace) -> int:  # noqa: ARG001
    """Print DEPLOY_TAG: the one that is set, else `<build number>_<first seven of the sha>`."""
    answer(f"{deploy_tag(assembly)}\n")
    return 0


def deploy_tag(assembly: Assembly) -> str:
    """DEPLOY_TAG: the one that is set, else `<build number>_<first seven of the sha>`. Raises
    SettingsError when it is invalid, or when the CI has no build number or revision."""
    facts = assembly.ci.context
    tag = next(each for each in assembly.every if each.name == "DEPLOY_TAG")
    if given := assembly.source.find(tag):
        try:
            return str(tag.convert(given.text))
        except ValueError as error:
            raise SettingsError(Problem(tag.name, str(error), given.origin)) from None
    if not (facts.build and facts.revision):
        reason = "this CI provides no build number and revision to derive it from."
        raise SettingsError(Problem("DEPLOY_TAG", reason, "", "Set it."))
    return f"{facts.build}_{facts.revision[:7]}"
