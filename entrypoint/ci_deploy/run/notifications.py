"""The notices about a run: `notice` makes one about an event, `plan_notice` about a plan. Their
content is the same for every notifier."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence, Sized
from typing import TYPE_CHECKING, NamedTuple

from ci_deploy.run.events import Event
from ci_deploy.settings.parsers import NOTHING

if TYPE_CHECKING:
    from ci_deploy.run.context import Context

LINES = 10  # last lines of a failed program that a notice shows
LINE = 300  # characters of each line at most
STARTED, GOOD, NEUTRAL, WARN, BAD = "started", "good", "neutral", "warn", "bad"
COLOURS = {STARTED: "#2389d7", GOOD: "#2e9e4f", NEUTRAL: "#8a8f98", WARN: "#d18b00", BAD: "#cc3340"}


class Notice(NamedTuple):
    """A message to people, for any notifier. Mentions in texts from git and from programs are
    already defused (`defuse`)."""

    mood: str  # STARTED, GOOD, NEUTRAL, WARN or BAD
    title: str  # one line
    fields: tuple[tuple[str, str], ...] = ()  # (label, value), like ("Ref", "main")
    lines: tuple[str, ...] = ()  # the last lines of a program that failed, or the planned changes
    url: str = ""  # the job's URL
    compare_url: str = ""  # the page that compares the two revisions
    change: str = ""  # `aaaaaaa → bbbbbbb` in the field Revision, for a link to compare_url
    facts: Mapping[str, object] = NOTHING  # the content as data, for programs

    def text(self) -> str:
        """The title, the fields (`label: value`) and the lines as plain text, one per line."""
        rows = [f"{name}: {value}" for name, value in self.fields]
        return "\n".join([self.title, *rows, *self.lines])


def shorten(text: str, limit: int) -> str:
    """The text, or if it is longer than `limit` characters its beginning and an ellipsis."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def counted(things: Sized, name: str) -> str:
    """The number of `things` with the noun `name`: `no changes`, `1 change`, `2 changes`."""
    return f"{len(things) or 'no'} {name}{'' if len(things) == 1 else 's'}"


def last(lines: Sequence[str], limit: int) -> str:
    """The end of an output, which says what went wrong: at most `limit` characters, whole lines if
    possible, after an ellipsis if something is left out."""
    text = "\n".join(lines)
    if len(text) <= limit:
        return text
    cut = text[2 - limit :]
    whole = cut.partition("\n")[2]
    return f"…\n{whole}" if whole else f"…{cut}"


def defuse(text: str) -> str:
    """Defuse mentions by an invisible character, so that a commit message cannot notify a channel:
    `@here`, `<!channel>`."""
    return re.sub(r"([@!])(?=\w)", "\\1\u2060", text)


_WORDS = {
    Event.PRE_DEPLOY: (STARTED, "deploying"),
    Event.DEPLOY_SUCCEEDED: (GOOD, "deployed"),
    Event.DEPLOY_SKIPPED: (NEUTRAL, "nothing to deploy:"),
    Event.DEPLOY_FAILED: (BAD, "deploy failed:"),
    Event.ROLLBACK: (STARTED, "rolling back to"),
    Event.ROLLBACK_SUCCEEDED: (GOOD, "rolled back to"),
    Event.ROLLBACK_FAILED: (BAD, "rollback failed:"),
    Event.DESTROY_SUCCEEDED: (NEUTRAL, "destroyed"),
    Event.DESTROY_FAILED: (BAD, "could not be destroyed"),
    Event.PROMOTE: (STARTED, "promoting to"),
}
_ENDED = {  # the status of a run that failed: what happened to its revision
    "live-but-failed": "live but failed:",
    "rolled-back": "failed and was rolled back:",
    "cancelled": "cancelled:",
}
DESTROYED = (Event.DESTROY_SUCCEEDED, Event.DESTROY_FAILED)
TOLD = frozenset(_WORDS)  # events that send a notice


def notice(ctx: Context, event: Event) -> Notice:
    """The notice about `event`, one of TOLD, with the facts of the run so far."""
    report, facts = ctx.report, ctx.facts
    mood, words = _WORDS[event]
    if mood is BAD and report.status in _ENDED:
        mood, words = WARN, _ENDED[report.status]
    # the job that removes a review app may run on any commit
    revision = "" if event in DESTROYED else ctx.revision
    title = f"{_where(ctx)}: {words} {revision[:7]}".rstrip(": ")
    before, change = _change(ctx, revision)
    rows = [
        ("Revision", _with_subject(ctx, change)),
        ("Ref", defuse(facts.ref)),
        ("By", defuse(facts.actor)),
    ]
    if mood is not STARTED:
        rows += [
            ("Live now", report.live),
            ("URL", "" if event is Event.DESTROY_SUCCEEDED else ctx.url),
            ("Duration", f"{time.monotonic() - ctx.started:.0f} s"),
        ]
    lines: tuple[str, ...] = ()
    if mood in {BAD, WARN}:
        rows += [("Failed at", f"{report.failed_event} {report.failed_layer}".strip())]
        rows += [("Reason", defuse(report.message)), ("Next", defuse(report.hint))]
        lines = tuple(shorten(defuse(line), LINE) for line in report.lines[-LINES:])
    fields = tuple((name, value) for name, value in rows if value)
    compare = facts.compare_url(before, revision)
    told = _facts(ctx, event, "started" if mood is STARTED else report.status)
    return Notice(mood, title, fields, lines, facts.job_url, compare, change, told)


def plan_notice(ctx: Context) -> Notice:
    """The notice about the result of `plan`; its `lines` are the changes that would be made."""
    report, facts, changes = ctx.report, ctx.facts, ctx.change_log.changes
    bad = report.status not in {"succeeded", "skipped"}
    would = "cannot be made" if bad else f"would make {counted(changes, 'change')}"
    before, change = _change(ctx, ctx.revision)
    what = f"{ctx.command} of {ctx.revision[:7]}" if ctx.revision else ctx.command
    rows = [
        ("Revision", _with_subject(ctx, change)),
        ("Live now", report.live),
        ("Reason", defuse(report.message)),
        ("Next", defuse(report.hint)),
    ]
    return Notice(
        BAD if bad else NEUTRAL,
        f"{_where(ctx)}: a {what} {would}",
        tuple((name, value) for name, value in rows if value),
        tuple(shorten(defuse(line), LINE) for line in changes),
        facts.job_url,
        facts.compare_url(before, ctx.revision),
        change,
    )


def _where(ctx: Context) -> str:
    return f"{ctx.app} ({ctx.environment})" if ctx.environment else ctx.app


def _change(ctx: Context, revision: str) -> tuple[str, str]:
    """The revision that was live before, and `aaaaaaa → bbbbbbb`."""
    before = ctx.before.revision if ctx.before else ""
    return before, f"{before[:7] or 'nothing'} → {revision[:7]}" if revision else ""


def _with_subject(ctx: Context, change: str) -> str:
    return f"{change} {defuse(ctx.title)}" if change and ctx.title else change


def _facts(ctx: Context, event: Event, status: str) -> dict[str, object]:
    """The facts of the run at this moment: the run continues while the notice is sent."""
    report, facts = ctx.report, ctx.facts
    before = ctx.before.revision if ctx.before else ""
    return {
        "event": event.value,
        "command": report.command,
        "status": status,
        "app": ctx.app,
        "environment": ctx.environment,
        "url": ctx.url,
        "revision": ctx.revision,
        "previous_revision": before,
        "live_revision": report.live_revision,
        "changed": report.changed,
        "duration": round(time.monotonic() - ctx.started, 1),
        "ref": facts.ref,
        "title": ctx.title,
        "actor": facts.actor,
        "job_url": facts.job_url,
        "compare_url": facts.compare_url(before, ctx.revision),
        "live": report.live,
        "failed_event": report.failed_event,
        "failed_layer": report.failed_layer,
        "message": report.message,
        "hint": report.hint,
        "lines": list(report.lines),
    }
