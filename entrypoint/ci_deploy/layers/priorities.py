"""The order of our handlers within an event: lower numbers first, 100 by default.

Layers of other packages may use these names, or numbers between them.
"""

from __future__ import annotations

from enum import IntEnum


class Configure(IntEnum):
    """`configure`: check everything, decide, change nothing."""

    HOOKS = 10  # their problems are reported before the provider is asked
    CONNECT = 50  # the provider fetches the app's state
    REVIEW_APP = 55  # its mark
    GUARD = 60  # refuse to treat another app as a review app
    BEFORE_TRAFFIC = 150  # commands for the new release before it gets traffic
    COMMAND = 155  # RELEASE_COMMAND, after a framework's migrations
    CHECKS = 160  # with the migrations
    COMPARE = 200  # decide whether there is anything to deploy, and whether it may be deployed
    SOURCE = 205  # the release to promote
    TARGET = 210  # the release to go back to
    WORKERS = 240  # whether they exist
    MIGRATIONS = 250  # list the new ones; both revisions are known by now
    THIRD_PARTIES = 260  # whether their tokens work


class Provision(IntEnum):
    """`provision`: only what the user has asked for."""

    CREATE = 50  # the app and its services
    CONFIG = 100
    SERVICES = 150  # linked after the config, which may choose the scheme of their URLs


class Before(IntEnum):
    """`pre_deploy`, and the first part of `promote` and `rollback`, before the release changes."""

    TELL = 50
    RELEASE = 70  # announce it to third parties before it gets traffic and can have errors
    READY = 80  # record the tasks that follow; back up, before anything is changed
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
    END = 999  # for `plan`, which has no outcome event


class Promoted(IntEnum):
    """The last part of `promote`, after the provider's part at 100."""

    MIGRATE = 200
    COMMAND = 205
    WAKE = 210
    HEALTH = 220


class Outcome(IntEnum):
    """The outcome events: first what was changed for the duration of the deploy is restored.

    Two names with one number mean that their order does not matter.
    """

    OPEN = 30  # maintenance mode ends
    NOTE = 40  # record what really runs
    BUILD_DIR = 45
    TELL = 50
    REBUILD = 50  # a failed build must not start at a restart
    FINISH = 50  # the tasks of an earlier run
    COMMAND = 55
    WAKE = 60  # workers
    SCHEMA = 60  # it fits the release again
    FORGET = 70  # migrations that are no longer due
    FORGET_COMMAND = 75
    HEALTH = 200
