"""Records on the app, before a deploy, the tasks that have to follow it (`Unfinished`), so that the
next run finds them if this one is killed."""

from __future__ import annotations

from ci_deploy.errors import Cancelled, DeployFailed, OutcomeUnknown
from ci_deploy.report.outputs import Report
from ci_deploy.run.context import Context
from ci_deploy.run.events import Event
from ci_deploy.run.tasks import Task

HANDED_OVER = {Event.DEPLOY, Event.PROMOTE, Event.POST_DEPLOY}  # by then the server has the code


class Unfinished:
    """The tasks that one layer records on the app, through the provider. This run removes them when
    they are done; what it leaves, the next run finishes or removes."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._new: list[Task] = []  # recorded by this run, not by an earlier one

    def begin(self, *tasks: Task) -> None:
        """Record tasks on the app, unless they are on record; to be called before the deploy."""
        known = self._ctx.provider.unfinished()
        self._new += [task for task in tasks if task not in known]
        self._ctx.provider.remember(*tasks)

    def left(self, *tasks: Task) -> bool:
        """Whether one of the tasks is on record, by this or an earlier run."""
        return bool(set(tasks) & set(self._ctx.provider.unfinished()))

    def done(self, *tasks: Task) -> None:
        """Remove finished tasks from the record; those that are not on it are ignored."""
        self._ctx.provider.forget(*tasks)

    def drop(self) -> None:
        """After a failed deploy, remove the tasks that this run has recorded, unless its revision
        is live or may become so. Keeping a task too long is safe: each may run twice."""
        report = self._ctx.report
        live = report.live_revision == self._ctx.revision
        if self._new and not live and not self._may_come(report):
            self._ctx.provider.forget(*self._new)

    def _may_come(self, report: Report) -> bool:
        """Whether the server may still make this revision live after the run has ended."""
        if not report.live_revision and report.exit_code != DeployFailed.exit_code:
            return True  # what is live is unknown
        cut_off = report.status == Cancelled.status or report.exit_code == OutcomeUnknown.exit_code
        return report.failed_event in HANDED_OVER and (report.busy or cut_off)
