"""Real limits of the machine: they are named with exit code 10, and are no bug of ours."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from standins.dokku.server import DokkuStandIn
from standins.support import BIN, Checkout, settings_for


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        *((f"-n {number}", f"more than {number} open files") for number in (10, 16, 20, 24)),
        ("-v 30000", "more memory"),
        ("-v 45000", "more memory"),
        ("-v 53000", "more memory"),
    ],
)
def test_limit_of_the_machine_is_named(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path, limit: str, words: str
) -> None:
    """It was 1, "a bug in ci-deploy", or 11, which is called safe to retry (faults J13)."""
    argv = ["bash", "-c", f"ulimit {limit}; exec {BIN / 'ci-deploy'} deploy"]
    env = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path), **settings_for(dokku)}
    done = subprocess.run(
        argv, cwd=checkout.path, env=env, capture_output=True, text=True, check=False, timeout=60
    )
    said = done.stdout + done.stderr
    assert done.returncode == 10, said
    assert words in said
    assert "ulimit" in said
    assert "bug" not in said
    assert list(tmp_path.glob("ci-deploy-*")) == []
