"""How much memory a deploy takes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from standins.dokku.server import DokkuStandIn
from standins.support import BIN, Checkout, settings_for

LIMIT = 64 * 1024  # KiB
MEASURED = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("lines", [100_000, pytest.param(2_000_000, marks=pytest.mark.soak)])
def test_memory_stays_small_however_much_the_server_says(
    dokku: DokkuStandIn, checkout: Checkout, lines: int
) -> None:
    """(faults J3)"""
    task = f"seq -f 'step %g of a build that never tires of speaking' {lines}"
    checkout.commit("Talk", {"Procfile": f"release: {task}\nworker: sleep 600\n"})
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, BIN / "deploy"],
        cwd=checkout.path,
        env={"PATH": os.environ["PATH"], **settings_for(dokku)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < LIMIT
