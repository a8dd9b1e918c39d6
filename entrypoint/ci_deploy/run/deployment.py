"""One run: which events, in which order, and what the outcome is.

Start reading here. A run emits its ordinary events; the first error stops it. If it has changed
anything, the provider says what is live, which decides the exit code. One outcome event follows.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence

from ci_deploy.errors import (
    Cancelled,
    DeployError,
    DeployFailed,
    Ending,
    LiveButFailed,
    Locked,
    OutcomeUnknown,
    Refused,
    RolledBack,
    SettingsError,
    SkipDeploy,
    ToolMissing,
    Unauthorized,
    Unhealthy,
    Unreachable,
)
from ci_deploy.process import limits
from ci_deploy.process.cancellation import Phases
from ci_deploy.report import console as style
from ci_deploy.report.outputs import EventReport
from ci_deploy.run import summary
from ci_deploy.run.context import Context
from ci_deploy.run.events import FLOWS, Event, EventManager, Handler
from ci_deploy.state import Live

SUCCESS = {"rollback": "is back on", "destroy": "is removed"}  # else: runs the revision
NOTICES = 15.0  # seconds that a run waits for all notices together
ROLLBACK_TIMEOUT = 600.0  # seconds for ROLLBACK_ON_FAILURE, even when DEPLOY_TIMEOUT has passed
AFTER_DEADLINE = 30.0  # seconds for queries, restores and notices after DEPLOY_TIMEOUT
# Errors that keep their exit code: 20, "the new revision is not live", would say less.
SAY_IT_THEMSELVES = (SettingsError, ToolMissing, Unauthorized, Locked, Refused, RolledBack)


class Deployment:
    """One run of one command (of FLOWS) with its layers."""

    def __init__(self, ctx: Context, layers: Sequence[summary.Announcing]) -> None:
        self.ctx = ctx
        self.layers = layers
        self.report = ctx.report
        self.events = EventManager(layers, warn=self._warn)
        self.ordinary, self.outcomes = FLOWS[ctx.command]
        self._up = True  # whether all processes of the live release run

    def run(self) -> int:
        """Run the command to its end; returns the exit code. Errors are reported, not raised."""
        summary.write(self.ctx)
        try:
            for event in self.ordinary:
                self._emit(event)
            self._believe()
            self._succeed()
        except SkipDeploy as skip:
            self._skip(str(skip))
        except Exception as error:  # noqa: BLE001 - whatever it is, restores and notices must follow
            self._fail(limits.named(error))
        self._finish()
        return self.report.exit_code

    def _emit(self, event: Event) -> None:
        """Emit one ordinary event, as one section of the log."""
        if not self.events.handlers(event):
            return
        self.ctx.event = event
        record = EventReport(event.value)
        self.report.events.append(record)
        started = time.monotonic()
        with self.ctx.console.section(event.value, f"▸ {event.value.replace('_', ' ')}"):
            try:
                self.events.emit(event)
            except SkipDeploy:
                raise
            except Exception as error:
                record.error = self.ctx.console.message(str(error)) or type(error).__name__
                raise
            finally:
                record.seconds = time.monotonic() - started

    def _believe(self) -> None:
        """Ask the provider what is live, unless it has verified the release itself (`ctx.live`).
        Raises DeployFailed unless the revision is live and up, and the provider's errors."""
        ctx = self.ctx
        if ctx.live is None and not ctx.planning and ctx.command != "destroy":
            live = ctx.provider.live()
            if not live.up or live.revision != ctx.revision:
                raise summary.not_live(ctx, live)
            ctx.verified(live)

    # --- the three outcomes ---

    def _succeed(self) -> None:
        if self.ctx.planning:
            self._close("succeeded", 0)
            events = [*self.ordinary, self.outcomes[0]]
            return summary.show_notices(self.ctx, self.layers, events)
        live = self.ctx.live or Live()
        self._note_live(live)
        self.report.changed = True
        verb = SUCCESS.get(self.ctx.command, "runs")
        self.report.live = f"{self.ctx.app} {verb} {live.revision[:7]}".rstrip()
        before = self.ctx.before
        if self.ctx.command != "destroy" and not self.ctx.review and before and before.revision:
            self.report.rollback = self.ctx.provider.rollback_command
        self._close("succeeded", 0)
        for handler, error in self._outcome(self.outcomes[0]):
            self._fail_late(handler, error)
        return None

    def _skip(self, reason: str) -> None:
        """There is nothing to deploy; handlers finish what an earlier run left unfinished."""
        self.ctx.console.indent(reason)
        self.report.live = reason
        self._note_live(self.ctx.before or Live())
        self._close("skipped", 0)
        for handler, error in () if self.ctx.planning else self._outcome(self.outcomes[1]):
            self._fail_late(handler, error)

    def _fail(self, error: Exception) -> None:
        """Judge the error by what is live, report it, and restore what the deploy has changed."""
        if isinstance(error, Cancelled):
            self.ctx.cancellation.leave()
            self._interrupt()
        self.ctx.runner.until = time.monotonic() + AFTER_DEADLINE
        failed = self.events.current
        known = self._judge(self._maybe_roll_back(error))
        self.report.failed_event = self.ctx.event.value
        self.report.failed_layer = failed.layer.name if failed else ""
        say = self.ctx.console.message
        self.report.message, self.report.hint = say(known.message), say(known.hint)
        self.report.lines = tuple(map(self.ctx.redactor.text, known.lines))
        if not isinstance(error, Ending):
            self.ctx.console.line("".join(traceback.format_exception(error)), style.DIM)
        elif known.lines and not known.shown:
            self.ctx.console.indent("\n".join(known.lines))
        self._close(known.status, known.code if isinstance(error, Ending) else 1)
        if not self.ctx.planning:
            for handler, late in self._outcome(self.outcomes[2]):
                self._warn(handler, late)

    def _fail_late(self, handler: Handler, error: Exception) -> None:
        """Set the result to 22 after a layer that is not optional failed in the outcome event."""
        self.report.failed_event, self.report.failed_layer = handler.event, handler.layer.name
        self.report.message = self.ctx.console.message(f"{handler.layer.name}: {error}")
        self._close(LiveButFailed.status, LiveButFailed.exit_code)

    def _maybe_roll_back(self, error: Exception) -> Exception:
        """Roll back after a failed health check, if ROLLBACK_ON_FAILURE; returns what to report."""
        before, warn = self.ctx.before, self.ctx.console.warning
        wanted = self.ctx.settings.rollback_on_failure and not self.ctx.planning
        if not (wanted and isinstance(error, Unhealthy) and before and before.revision):
            return error
        self.ctx.runner.until = time.monotonic() + ROLLBACK_TIMEOUT
        with self.ctx.console.section("rollback", "▸ rollback"):
            try:
                now = self.ctx.provider.live().revision
                if now != self.ctx.revision:
                    other = now[:7] or "an unknown release"
                    warn(f"not rolled back: {other} is live now.")
                    return error
                self.ctx.provider.roll_back(before.revision)
            except Cancelled as cancelled:
                self.ctx.cancellation.leave()
                self._interrupt()
                return cancelled
            except Exception as second:  # noqa: BLE001 - then the failed release stays live
                warn(f"the rollback to {before.revision[:7]} failed too: {second}")
                return error
        return RolledBack(error.message, hint=error.hint, lines=error.lines)

    def _interrupt(self) -> None:
        """Stop what this run has started on the server."""
        try:
            with self.ctx.cancellation.reserve(Phases.TRUTH + Phases.RESTORE):
                self.ctx.provider.interrupted()
        except Exception as error:  # noqa: BLE001 - asking what is live must follow
            self.ctx.console.warning(
                f"what this run started on the server could not be stopped: {error}"
            )

    # --- the truth ---

    def _judge(self, error: Exception) -> Ending:
        """The error to report, with its exit code, given what the provider says is live."""
        known = (
            error if isinstance(error, Ending) else DeployFailed(f"a bug in ci-deploy: {error!r}")
        )
        before = self.ctx.before
        if not self.ctx.change_log.changes or self.ctx.planning:
            if before:
                self._note_live(before)
            self.report.live = summary.nothing_changed(self.ctx, known)
            return known
        live = self._ask()
        self._note_live(live or Live())
        stayed = None if isinstance(known, RolledBack) else before
        self.report.live = summary.what_is_live(self.ctx, live, stayed)
        self.report.changed = live is not None and self._is_new(live)
        if isinstance(known, (Cancelled, RolledBack)):
            return known
        if live and self.report.changed:
            self._up = live.up
            return _as(LiveButFailed, known)
        if self.ctx.command == "destroy" and isinstance(known, (OutcomeUnknown, Unreachable)):
            return _as(OutcomeUnknown, known)
        if live is None or (live.busy and isinstance(known, OutcomeUnknown)):
            return _as(OutcomeUnknown, known)
        return known if isinstance(known, SAY_IT_THEMSELVES) else _as(DeployFailed, known)

    def _ask(self) -> Live | None:
        """Ask the provider what is live; None when it cannot be asked."""
        self._grant_time()
        try:
            with self.ctx.cancellation.reserve(Phases.RESTORE):
                return self.ctx.provider.live()
        except Exception as error:  # noqa: BLE001 - not knowing is an answer here
            console = self.ctx.console
            say = console.warning if isinstance(error, Unauthorized) else console.debug
            say(f"what {self.ctx.app} runs could not be determined: {error}")
            return None

    def _is_new(self, live: Live) -> bool:
        """Whether this run has made `live` live: another revision was live before, or the same one
        was deployed again."""
        again = live.ours or self.ctx.live is not None
        new = again or live.revision != self.report.previous_revision
        return live.revision == self.ctx.revision != "" and new

    def _note_live(self, live: Live) -> None:
        report, ctx = self.report, self.ctx
        report.live_revision, report.release = live.revision, live.release or ctx.release
        report.busy, report.idle = live.busy, summary.idle(ctx, live)
        wanted = ctx.review.url(ctx.facts) if ctx.review else ""
        report.url = ctx.url = wanted or live.url or ctx.url
        report.previous_revision = ctx.before.revision if ctx.before else ""

    def _outcome(self, event: Event) -> list[tuple[Handler, Exception]]:
        self.ctx.event = event
        return self.events.emit_all(event, before=self._grant_time)

    def _grant_time(self) -> None:
        """After a cancel, give restores and notices their seconds."""
        if self.ctx.cancellation.pending:
            self.ctx.cancellation.leave()

    def _close(self, status: str, code: int) -> None:
        """Set the result before the handlers of the outcome see it, and extend the deadline, so
        that restores and notices have time."""
        report, ctx = self.report, self.ctx
        if status in {"succeeded", "skipped"}:
            ctx.runner.until = max(ctx.runner.until, time.monotonic() + AFTER_DEADLINE)
        report.status, report.exit_code = status, code
        report.duration = time.monotonic() - ctx.started
        warn = ctx.settings.live_but_failed == "warn"
        warn = warn and self._up and not ctx.others_failed  # never green while something is down
        if code == LiveButFailed.exit_code and warn:
            ctx.console.warning(f"exit code 0 (LIVE_BUT_FAILED=warn), although {report.message}")
            report.exit_code = 0

    def _finish(self) -> None:
        """The last steps of every run: send what is unsent, see a late cancel, show the summary."""
        report, ctx = self.report, self.ctx
        ctx.cancellation.finish()
        ctx.runner.until = max(ctx.runner.until, time.monotonic() + NOTICES)
        for each in self.layers if ctx.planning else ():
            each.tell_plan()
        for layer, error in ctx.send_queue.close(NOTICES, ctx.cancellation.left):
            if layer.optional or report.status not in {"succeeded", "skipped"}:
                ctx.console.warning(f"{layer.name}: {error}")
            else:
                report.message = self.ctx.console.message(f"{layer.name}: {error}")
                kind = DeployFailed if ctx.planning else LiveButFailed
                self._close(kind.status, kind.exit_code)
        if ctx.cancellation.signum:  # a cancel wins over all, even one this late
            report.message = report.message or ctx.cancellation.error().message
            self._close(Cancelled.status, ctx.cancellation.error().code)
        report.duration = time.monotonic() - ctx.started  # including what came after the outcome
        summary.close(ctx)

    def _warn(self, handler: Handler, error: Exception) -> None:
        self.ctx.console.warning(f"{handler.layer.name}: {error}")


def _as(kind: type[DeployError], error: Ending) -> Ending:
    """The error as another class: the same texts with another exit code."""
    if isinstance(error, kind):
        return error
    return kind(error.message, hint=error.hint, lines=error.lines, shown=error.shown)
