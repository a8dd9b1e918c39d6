"""A layer of another package that wants commands to run before traffic, as frameworks do."""

from __future__ import annotations

from pathlib import Path

from standins.support import BIN

LAYER = '''
from ci_deploy.errors import DeployFailed
from ci_deploy.run.events import Event, on
from ci_deploy.layers.base import Application
from ci_deploy.state import Step
from ci_deploy.settings import setting, settings


@settings
class StepsSettings:
    """Commands before traffic."""

    steps: str = setting("TEST_STEPS", "Shell commands, one in each line", default="", text=True)


class Steps(Application[StepsSettings]):
    """Commands before traffic; exit code 7 is as good as 0."""

    name = "steps"
    Settings = StepsSettings
    trigger = "TEST_STEPS"

    @on(Event.CONFIGURE, priority=150)
    def add(self) -> None:
        for line in self.settings.steps.splitlines():
            step = Step(("sh", "-c", line), f"run {line}", self.look)
            self.ctx.before_traffic.append(step)

    def look(self, ran) -> None:
        self.ctx.console.indent(f"looked at {ran.exit_code}: {' '.join(ran.lines)}")
        if ran.exit_code not in {0, 7}:
            raise DeployFailed(f"the step says no ({ran.exit_code}).", lines=ran.lines)
'''


PROGRAM = """#!{python} -I
import sys
sys.path.insert(0, {folder!r})
from ci_deploy.__main__ import main
main()
"""


def steps(*commands: str) -> dict[str, str]:
    """The setting of the layer."""
    return {"TEST_STEPS": "\n".join(commands)}


def program_with_steps(folder: Path) -> str:
    """Install the layer in a folder; the path of a `ci-deploy` that knows it."""
    info = folder / "test_steps-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "test_steps.py").write_text(LAYER)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: test-steps\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ci_deploy.layers]\nsteps = test_steps:Steps\n")
    program = folder / "ci-deploy"
    program.write_text(PROGRAM.format(python=BIN / "python", folder=str(folder)))
    program.chmod(0o755)
    return str(program)
