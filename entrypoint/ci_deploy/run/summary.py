"""The end of every run: outputs, the summary box, and the notices that `plan` shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ci_deploy.errors import DeployFailed, SettingsError
from ci_deploy.report import console as style
from ci_deploy.report.outputs import Report
from ci_deploy.run.context import Context
from ci_deploy.run.events import Event, Subscriber
from ci_deploy.run.notifications import TOLD, Notice, counted, notice
from ci_deploy.state import Live


class Announcing(Subscriber, Protocol):
    """A layer that may send notices."""

    def preview(self, notice: Notice) -> str:
        """The text that would be sent for `notice`, for `plan`; empty if the layer sends none."""

    def tell_plan(self) -> None:
        """Send the result of `plan`, if a setting asks for that (PLAN_COMMENT)."""


def close(ctx: Context) -> None:
    """Complete the report, print the summary box and write the outputs: the end of a run."""
    report = ctx.report
    report.compare_url = ctx.facts.compare_url(report.previous_revision, report.live_revision)
    report.changes = [ctx.redactor.text(change) for change in ctx.change_log.changes]
    report.warnings += ctx.console.warnings
    report.finished = True
    if ctx.command == "destroy" and not report.exit_code and not ctx.planning:
        report.url = ""  # nothing answers there any more
    _box(ctx, report)
    write(ctx)


def write(ctx: Context) -> None:
    """Write the outputs as far as they are known, at the start and at the end of a run. An error is
    only a warning."""
    report, facts = ctx.report, ctx.facts
    report.app, report.environment, report.revision = ctx.app, ctx.environment, ctx.revision
    report.provider = ctx.provider.name
    report.ref, report.actor, report.job_url = facts.ref, facts.actor, facts.job_url
    report.commit_url = facts.commit_url(ctx.revision) if ctx.revision else ""
    known = len(report.warnings)
    try:
        ctx.ci.write(report)
    except OSError as error:
        warning = f"an output could not be written: {error}"
        if warning not in ctx.console.warnings:  # written at the start and at the end
            ctx.console.warning(warning)
    if report.finished:
        for warning in report.warnings[known:]:
            ctx.console.indent(f"! {warning}", style.YELLOW)
    else:
        del report.warnings[known:]  # they are shown at the end


def _box(ctx: Context, report: Report) -> None:
    good = report.exit_code == 0
    result = "planned" if ctx.planning and good else report.status.replace("-", " ")
    rows = [f"{result}: {report.live}" if report.live else result]
    rows += [report.idle] if report.idle else []
    rows += [report.url] if report.url else []
    rows += [f"backup before the migrations: {each}" for each in report.backups]
    rows += [_facts(ctx, report)]
    if report.message:
        at = " · ".join(filter(None, (report.failed_event, report.failed_layer)))
        rows += ["", *f"{at}: {report.message}".lstrip(": ").splitlines()]
        rows += report.hint.splitlines()
        rows += [f"exit code {report.exit_code}"]
    ctx.console.box(rows, style.GREEN if good else style.RED)
    if not good:
        ctx.console.annotate("error", f"ci-deploy: {report.status}", "\n".join(rows))


def _facts(ctx: Context, report: Report) -> str:
    if ctx.planning and report.exit_code == 0:  # of a plan that failed they are not known
        return f"{counted(ctx.change_log.changes, 'change')} would be made"
    before = f"before: {report.previous_revision[:7] or 'no known release'}"
    took = f"{report.duration:.1f} s"
    return " · ".join([before, took] if report.changed else [took])


def show_notices(ctx: Context, layers: Sequence[Announcing], events: Sequence[Event]) -> None:
    """For `plan`: log what each notifier would send at these events, in its own form."""
    for layer in layers:
        for event in filter(TOLD.__contains__, events):
            if shown := layer.preview(notice(ctx, event)):
                ctx.console.line(f"{layer.name} would send:")
                ctx.console.indent("\n".join(f"┃ {line}" for line in shown.splitlines()))


def nothing_changed(ctx: Context, error: Exception) -> str:
    """The sentence on what is live after a run that has changed nothing, ended by `error`."""
    before = ctx.before
    if ctx.command == "destroy":
        return "nothing was removed."
    if before and before.revision:
        return what_is_live(ctx, before, before)
    unknown = "" if before or isinstance(error, SettingsError) else what_is_live(ctx, None, None)
    return f"nothing was changed. {unknown}".rstrip()


def what_is_live(ctx: Context, live: Live | None, before: Live | None) -> str:
    """The sentence on what is live now; for `destroy`, on what may be left. `live` is None when it
    is unknown; `before`, what was live at the start, is None when another release was live in
    between."""
    app = ctx.app
    if ctx.command == "destroy":
        return f"{app} may be partly removed; run `ci-deploy destroy` again."
    if live is None:
        return f"What {app} runs is unknown; check with `{ctx.provider.check_command}`."
    if not live.revision:
        return f"{app} runs no known release."
    same = before is not None and before.revision == live.revision
    state = "" if live.up else f", but is {_not_up(live)}"
    if live.unchecked:
        state = f" (its processes were not checked; `{ctx.provider.check_command}` does)"
    busy = "; a deployment is in progress" if live.busy else ""
    return f"{app} {'still ' if same else ''}runs {live.revision[:7]}{state}{busy}."


def idle(ctx: Context, live: Live) -> str:
    """A sentence if no process of the app runs since all are scaled to 0; else empty. It happens at
    a first deployment, whose processes start with a scale of 0 on some platforms."""
    if not live.idle:
        return ""
    command = ctx.provider.scale_command
    starts = f"; `{command}` starts one" if command else ""
    return f"no process of {ctx.app} runs, since all are scaled to 0{starts}"


def not_live(ctx: Context, live: Live) -> DeployFailed:
    """The error for a deployment after which `live` is not the run's revision, or not up."""
    found = live.revision[:7] or "no known revision"
    state = f"is not live: {ctx.provider.name} reports {found} instead"
    if live.revision == ctx.revision:
        state = f"is live, but {_not_up(live)}"
    hint = f"`{ctx.provider.check_command}` shows more."
    return DeployFailed(f"{ctx.revision[:7]} {state}.", hint=hint)


def _not_up(live: Live) -> str:
    return f"not fully up: {live.detail}".rstrip(": ")
