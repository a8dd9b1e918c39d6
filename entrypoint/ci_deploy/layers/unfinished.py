"""What has to follow a deploy, noted on the app before it: a kill in between must lose nothing."""

from __future__ import annotations

from ci_deploy.context import Context


class Unfinished:
    """Tasks of one layer. The next run finds the note and finishes them, or they are forgotten."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._new: list[str] = []  # noted by this run, and not by one before

    def begin(self, *tasks: str) -> None:
        """Note them, before the deploy."""
        known = self._ctx.provider.unfinished()
        self._new += [task for task in tasks if task not in known]
        self._ctx.provider.remember(*tasks)

    def left(self, *tasks: str) -> bool:
        """Whether one of them is still to be done, also from a run that was killed."""
        return bool(set(tasks) & set(self._ctx.provider.unfinished()))

    def done(self, *tasks: str) -> None:
        """They are finished."""
        self._ctx.provider.forget(*tasks)

    def drop(self) -> None:
        """The deploy failed: what this run has noted is void, unless its revision is live."""
        report = self._ctx.report
        unknown = not report.live_revision and report.exit_code != 20
        if self._new and not unknown and report.live_revision != self._ctx.revision:
            self._ctx.provider.forget(*self._new)
