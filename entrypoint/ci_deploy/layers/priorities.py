"""The order of handlers within an event: lower numbers run first, 100 is the default.

Layers of other packages may use these names, or numbers between them.
"""

from __future__ import annotations

from enum import IntEnum


class Configure(IntEnum):
    """`configure`: check everything and decide what to do, without any change."""

    HOOKS = 10  # their problems are reported before the provider is asked
    CONNECT = 50  # the provider fetches the app's state
    REVIEW_APP = 55  # check the variables of a review app
    GUARD = 60  # refuse to treat another app as a review app
    BEFORE_TRAFFIC = 150  # commands for the new release before it gets traffic
    COMMAND = 155  # RELEASE_COMMAND, after a framework's migrations
    CHECKS = 160  # a framework's checks, after its migrations
    COMPARE = 200  # decide whether there is anything to deploy, and whether it may be deployed
    SOURCE = 205  # the release to promote
    TARGET = 210  # the release to go back to
    WORKERS = 240  # check that they exist
    MIGRATIONS = 250  # list the new ones; both revisions are known by now
    THIRD_PARTIES = 260  # check their tokens


class Provision(IntEnum):
    """`provision`: create and configure the app, as far as settings ask for that."""

    CREATE = 50  # the app and its services
    CONFIG = 100  # APP_CONFIG
    SERVICES = 150  # linked after the config, which may choose the scheme of their URLs


class Before(IntEnum):
    """`pre_deploy`, and the first part of `promote` and `rollback`, before the release changes."""

    TELL = 50  # send the notice
    RELEASE = 70  # announce it to third parties before it gets traffic and can have errors
    READY = 80  # record the tasks that follow; back up, before anything is changed
    COMMAND = 85  # PRE_DEPLOY_COMMAND
    QUIET = 90  # workers start no new jobs
    CLOSE = 150  # maintenance mode


class After(IntEnum):
    """`post_deploy`, when the new release is live."""

    MIGRATE = 100
    CHECK = 110
    COMMAND = 120  # POST_DEPLOY_COMMAND
    WAKE = 150  # workers
    SECURE = 180  # TLS
    OPEN = 190  # maintenance mode ends
    HEALTH = 200
    END = 999  # for `plan`, which has no outcome event


class Promoted(IntEnum):
    """The last part of `promote`: what `After` is for a deploy. The provider promotes at 100."""

    MIGRATE = 200
    COMMAND = 205
    WAKE = 210
    HEALTH = 220


class Outcome(IntEnum):
    """The outcome events: what was changed for the duration of the deploy is restored first.

    The order of names with the same number does not matter.
    """

    OPEN = 30  # maintenance mode ends
    NOTE = 40  # record what really runs
    BUILD_DIR = 45  # restore that of the live release
    TELL = 50  # send the notice
    REBUILD = 50  # the live release, so that a restart does not start a failed build
    FINISH = 50  # the tasks of an earlier run
    COMMAND = 55  # POST_DEPLOY_COMMAND, if an earlier run has not run it
    WAKE = 60  # workers
    SCHEMA = 60  # the database fits the release again
    FORGET = 70  # migrations that are no longer due
    FORGET_COMMAND = 75  # a POST_DEPLOY_COMMAND that is no longer due
    HEALTH = 200
