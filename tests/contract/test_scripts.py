"""Every `script:` that we write or show keeps our exit codes on the real GitLab Runner."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.test_docs import Block, _load, blocks, examples
from tests.contract.test_manifest import rendered, templates
from tests.runners.gitlab_runner import SCRIPT, wrapped

OURS = re.compile(r"^(deploy|ci-deploy)\b|\bci-deploy \w+\)")
STUB = "#!/bin/sh\nexit 14\n"


def _scripts(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for each in node:
            yield from _scripts(each)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in {"script", "before_script", "after_script"}:
                yield from [value] if isinstance(value, str) else value
            else:
                yield from _scripts(value)


def _gitlab(block: Block) -> Iterator[str]:
    found = _load(block.text)
    if isinstance(found, dict) and not {"on", "workflows"} & found.keys():
        yield from _scripts(found)


def shown() -> list[str]:
    """Each line of a GitLab job that calls us, in templates, docs and examples."""
    lines = [line for block in [*blocks("yaml"), *examples()] for line in _gitlab(block)]
    lines += [line for name in templates() for line in _scripts(rendered(name))]
    return sorted({line for line in lines if OURS.search(line)})


def test_lines_that_call_us_are_found() -> None:
    assert {SCRIPT, "ci-deploy destroy || exit $?"} <= set(shown())


@pytest.mark.skipif(not shutil.which("bash"), reason="the runner's shell is bash")
@pytest.mark.parametrize("new_eval", [False, True], ids=["old", "new"])
@pytest.mark.parametrize("line", shown())
def test_exit_codes_reach_gitlab(line: str, tmp_path: Path, *, new_eval: bool) -> None:
    """Runner 17.0 to 19.0.1 runs scripts as `: | eval …` under errexit and pipefail. (faults E1)"""
    for name in ("deploy", "ci-deploy", "docker"):
        (tmp_path / name).write_text(STUB)
        (tmp_path / name).chmod(0o755)
    job = wrapped(f"export PATH={tmp_path}:$PATH\n{line}\n", new_eval=new_eval)
    done = subprocess.run(["bash"], input=job, text=True, check=False, capture_output=True)
    assert done.returncode == 14, done.stderr


@pytest.mark.skipif(not shutil.which("bash"), reason="the runner's shell is bash")
@pytest.mark.parametrize(("new_eval", "code"), [(False, 1), (True, 14)], ids=["old", "new"])
def test_twin_loses_the_code_as_the_real_runner_does(*, new_eval: bool, code: int) -> None:
    """The old strategy turns every code into 1; the twin had hidden it. (faults E1)"""
    job = wrapped("sh -c 'exit 14'\n", new_eval=new_eval)
    assert subprocess.run(["bash"], input=job, text=True, check=False).returncode == code
