"""Which behaviour came with which release of Dokku.

Only what a client can notice; from Dokku's release notes and its migration guides
(`docs/appendices/*-migration-guide.md`).
"""

from __future__ import annotations

Version = tuple[int, ...]

FIRST_BRANCH_ADOPTED: Version = (0, 22, 1)
MISSING_APP_EXITS_20: Version = (0, 24, 0)
UNLOCK_HINT: Version = (0, 25, 0)
DEPLOY_SOURCE: Version = (0, 26, 0)
IMAGE_ROLLBACK: Version = (0, 29, 3)
QUOTING_OVER_SSH: Version = (0, 34, 0)
GIT_UNLOCK_GONE: Version = (0, 34, 0)
LONG_SHA: Version = (0, 34, 2)
FAILING_TASK_FAILS_DEPLOY: Version = (0, 35, 4)
FROM_IMAGE_FORCE: Version = (0, 37, 5)
BUILDS: Version = (0, 38, 0)
PROPERTY_SETTINGS: Version = (0, 38, 0)
TRIMMED_REPORT_KEYS: Version = (0, 38, 0)
APP_JSON_ENV: Version = (0, 38, 0)
COMPUTED_DEPLOY_BRANCH: Version = (0, 38, 4)


def parse(text: str) -> Version:
    """Turn `0.38.27` into a tuple that compares as versions do."""
    return tuple(int(part) for part in text.split("."))
