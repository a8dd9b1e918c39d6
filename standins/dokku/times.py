"""How long a real server's commands take, in seconds: a Dokku 0.38.27 at rest, over ssh.

Measured but for the last two, which were not recorded: one property costs what `apps:report` does,
and `ps:inspect` is one question to Docker and one small program.
"""

from __future__ import annotations

SECONDS = {
    "version": 0.04,
    "apps:report": 0.06,
    "config:export": 0.14,
    "ps:report": 0.9,
    "urls": 1.8,
    "ps:report --ps-skip-deploy": 0.06,
    "ps:inspect": 0.3,
}
OTHERS = 0.15
