"""When our handlers run within an event: lower numbers first, 100 where nothing is said.

Layers of other packages may use these names or numbers between them.
"""

from __future__ import annotations

from enum import IntEnum


class Configure(IntEnum):
    """`configure`: look at everything, decide, change nothing."""

    HOOKS = 10  # what is wrong with them is told before the provider is asked
    CONNECT = 50  # the provider looks at the app and at what runs
    REVIEW_APP = 55  # the mark on it
    GUARD = 60  # an app that is no review app is never touched as one
    BEFORE_TRAFFIC = 150  # what has to run in the new release before it gets traffic
    CHECKS = 160  # beside the migrations
    COMPARE = 200  # is there anything to deploy, and may it be
    SOURCE = 205  # what is promoted
    TARGET = 210  # what is gone back to
    WORKERS = 240  # who would quieten them and who would wake them
    MIGRATIONS = 250  # which ones come; both revisions are at hand now
    THIRD_PARTIES = 260  # does their token work


class Provision(IntEnum):
    """`provision`: only where asked."""

    CREATE = 50  # the app, and services beside it
    CONFIG = 100
    SERVICES = 150  # linked after the config, which may choose the scheme of their URLs


class Before(IntEnum):
    """`pre_deploy`, and the first part of `promote` and `rollback`, before the release changes."""

    TELL = 50
    RELEASE = 70  # third parties know it before it gets traffic, and with it errors
    READY = 80  # notes of what has to follow; a backup, which stops everything in time
    COMMAND = 85  # PRE_DEPLOY_COMMAND
    QUIET = 90  # workers start no new jobs
    CLOSE = 150  # maintenance mode


class After(IntEnum):
    """`post_deploy`: the new release is live."""

    MIGRATE = 100
    CHECK = 110
    COMMAND = 120  # POST_DEPLOY_COMMAND
    WAKE = 150  # workers
    SECURE = 180  # TLS
    OPEN = 190  # maintenance mode ends
    HEALTH = 200
    END = 999  # `plan` ends here, a deploy would not


class Promoted(IntEnum):
    """The last part of `promote`; the provider brings the release at 100."""

    MIGRATE = 200
    COMMAND = 205
    WAKE = 210
    HEALTH = 220


class Outcome(IntEnum):
    """The events of an outcome: first what was changed for the time of the deploy comes back.

    Two names with one number mean that their order does not matter.
    """

    OPEN = 30  # maintenance mode ends
    NOTE = 40  # what really runs
    BUILD_DIR = 45
    TELL = 50
    REBUILD = 50  # what was built must not run after a restart
    FINISH = 50  # what an earlier run has left undone
    COMMAND = 55
    WAKE = 60  # workers
    SCHEMA = 60  # of the release that is back
    FORGET = 70  # what needs no migrations any more
    FORGET_COMMAND = 75
    HEALTH = 200
