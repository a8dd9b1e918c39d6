"""The few tests that have failed in a whole run, once more, alone: `make test` calls it.

Four workers on two cores keep a machine so busy that what a test says of seconds may not hold.
What fails alone too is broken; what does not is named, since it is not as it should be.
"""

from __future__ import annotations

import json
import subprocess
import sys

from standins.support import ROOT

MOST = 4  # more than these are no accident
FAILED = ROOT / ".pytest_cache/v/cache/lastfailed"


def main() -> int:
    """The exit code of the whole run."""
    names = sorted(json.loads(FAILED.read_text(encoding="utf-8")))
    if not 0 < len(names) <= MOST:
        return 1
    print(f"{len(names)} failed among all others; once more, alone:", flush=True)
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *names]
    code = subprocess.run(argv, cwd=ROOT, check=False).returncode
    if not code:
        print("Not as they should be, though they pass alone:", *names, sep="\n  ")
    return code


if __name__ == "__main__":
    sys.exit(main())
