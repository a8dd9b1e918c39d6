"""The notifier `pull-requests`: one comment on the pull or merge request, which later runs edit.

Sources: docs.github.com/rest/issues/comments (at most 65,536 characters),
docs.gitlab.com/api/notes, and the API of Forgejo and Gitea (/api/v1), whose list of comments has no
pages. Anybody who may comment can write our mark, so only a comment by the token's own account is
edited.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, ClassVar

from ci_deploy.errors import DeployFailed
from ci_deploy.layers.base import Notifier, NotifierSettings
from ci_deploy.report.markdown import fenced, link, plain
from ci_deploy.run.context import Context
from ci_deploy.run.forge import GITEA, GITHUB, GITLAB, Forge
from ci_deploy.run.notifications import (
    BAD,
    GOOD,
    NEUTRAL,
    STARTED,
    WARN,
    Notice,
    last,
    plan_notice,
    shorten,
)
from ci_deploy.run.sending import persist
from ci_deploy.settings import setting, settings

TITLE, CELL, TEXT = 300, 1000, 8000  # characters; all together stay far below 65,536
ICONS = {STARTED: "⏳", GOOD: "✅", NEUTRAL: "ℹ️", WARN: "⚠️", BAD: "❌"}
ADVICE = {
    GITHUB: "For `github.token` the job needs `permissions: { pull-requests: write }`, and in pull "
    "requests of forks and of Dependabot it can only read; another COMMENT_TOKEN must be valid "
    "and may write pull requests.",
    GITLAB: "COMMENT_TOKEN must be a valid access token with the scope `api` and at least the role "
    "Reporter in the project; GitLab does not accept CI_JOB_TOKEN here.",
    GITEA: "COMMENT_TOKEN must be valid and may write issues (`write:issue`); for pull requests of "
    "forks the job's own token can only read.",
}
NO_CHANGE = (
    "no comment is written: this job does not belong to a pull or merge request on GitHub, GitLab, "
    "Forgejo or Gitea"
)
# The accounts of jobs' own tokens, which cannot ask for theirs; nobody else can have these names.
JOB_ACCOUNTS = {"gitea-actions", "forgejo-actions"}


@settings
class PullRequestSettings(NotifierSettings):
    """The settings of the layer `pull-requests`; COMMENT_TOKEN switches it on."""

    token: str = setting(
        "COMMENT_TOKEN",
        "Token that may comment: GitHub's own `github.token`, a project token on GitLab",
        default="",
        secret=True,
    )
    plan: bool = setting(
        "PLAN_COMMENT",
        "`plan` writes what a deployment would change as a comment on the pull or merge request",
        default=False,
    )


class PullRequests(Notifier[PullRequestSettings]):
    """Writes one comment per app on the pull or merge request to which the job belongs, and edits
    it at each later notice (a comment of its own for `plan`). Without such a request, or after a
    refusal, nothing is sent."""

    name = "pull-requests"
    Settings: ClassVar[type[Any]] = PullRequestSettings
    trigger = "COMMENT_TOKEN"

    def __init__(self, ctx: Context, settings: PullRequestSettings) -> None:
        super().__init__(ctx, settings)
        self._forge = Forge(ctx, settings.token.strip())
        self._comment: Any = None  # its id, once it is known
        self._refused = False

    def send(self, notice: Notice) -> None:
        if self._number and not self._refused:
            body = self.body(notice)
            persist(self.ctx, lambda: self._write(body))

    def tell_plan(self) -> None:
        if not self.settings.plan:
            return
        if not self._number:
            self.ctx.console.line(self.ctx.console.message(f"PLAN_COMMENT: {NO_CHANGE}."))
            return
        message = plan_notice(self.ctx)
        self.ctx.send_queue.post(self, lambda: self.send(message))

    @property
    def _number(self) -> str:
        facts = self.ctx.facts
        known = re.fullmatch(r"[\w.-]+(/[\w.-]+)?", facts.project_id) and facts.api_url
        return facts.discussion if known and facts.discussion.isdecimal() else ""

    def _paths(self) -> tuple[str, str]:
        """The API's paths of all comments, and of one comment without its id."""
        project = self.ctx.facts.project_id
        if self._forge.title == GITLAB:
            notes = f"/projects/{project}/merge_requests/{self._number}/notes"
            return notes, f"{notes}/"
        comments = f"/repos/{project}/issues"
        return f"{comments}/{self._number}/comments", f"{comments}/comments/"

    def _write(self, body: str) -> None:
        """Edit the comment, or create it. After a lost response it is searched for again, so that
        there is only one. Raises DeployFailed, Busy, Unreachable."""
        from ci_deploy.net.http import Busy, HttpError

        every, one = self._paths()
        try:
            if self._comment is None:
                self._comment = self._find(every)
            if self._comment is None:
                made = self._forge.send("POST", every, json={"body": body}).json()
                self._comment = made.get("id")
            else:
                method = "PUT" if self._forge.title == GITLAB else "PATCH"
                self._forge.send(method, f"{one}{self._comment}", json={"body": body})
        except Busy:
            raise
        except HttpError as error:
            status = error.response.status
            if status == 404 and self._comment is not None:  # somebody has deleted it
                self._comment = None
                self._write(body)
                return
            self._refused = True
            hint = f" {ADVICE[self._forge.title]}" if status in {401, 403, 404} else ""
            message = f"the comment cannot be written: {error}{hint}"
            raise DeployFailed(message) from None

    def _find(self, path: str) -> Any:
        """The id of our comment on this app; None when there is none."""
        oldest_first = {"sort": "asc", "order_by": "created_at"}
        query = oldest_first if self._forge.title == GITLAB else {}
        mine: dict[str, Any] | None = None
        for comment in self._forge.entries(path, **query):
            if str(comment.get("body") or "").lstrip().startswith(self._mark):
                mine = self._forge.account() if mine is None else mine
                if self._is_ours(comment, mine):
                    return comment.get("id")
        return None

    def _is_ours(self, comment: dict[str, Any], mine: dict[str, Any]) -> bool:
        author = comment.get("author") or comment.get("user") or {}
        if mine:
            return bool(author.get("id") == mine.get("id"))
        if self._forge.title == GITEA:
            return str(author.get("login")).lower() in JOB_ACCOUNTS
        return bool(author.get("type") == "Bot")

    @property
    def _mark(self) -> str:
        """The HTML comment that marks our comment, with the app; `--` would end it early."""
        ctx = self.ctx
        plan = f" plan of {ctx.command} {ctx.environment}".rstrip() if ctx.planning else ""
        return f"<!-- ci-deploy{plan.replace('--', '-%2D')}: {ctx.app.replace('--', '-%2D')} -->"

    def body(self, notice: Notice) -> str:
        """The comment's Markdown, redacted and escaped; it begins with the mark by which later runs
        find it. Each line of output has a prefix: GitLab would run `/close` at the start of a line
        as a command, even in nested code blocks."""
        notice, facts = self._redacted(notice), notice.facts
        rows = [(name, self._value(name, value, notice)) for name, value in notice.fields]
        if notice.mood is STARTED and (live := str(facts.get("previous_revision", ""))):
            rows.append(("Live meanwhile", f"`{live[:7]}` {link(str(facts.get('url', '')))}"))
        rows.append(("Time", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"))
        title = plain(shorten(notice.title, TITLE))
        parts = [self._mark, f"### {ICONS[notice.mood]} {title}", "", "| | |", "|---|---|"]
        parts += [f"| {name} | {value.strip()} |" for name, value in rows]
        if notice.lines:
            shown = "\n".join(f"┃ {line}" for line in last(notice.lines, TEXT).splitlines())
            parts += ["", fenced(shown)]
        if notice.url:
            parts += ["", link(notice.url, "Log of the job")]
        return "\n".join(parts) + "\n"

    def _redacted(self, notice: Notice) -> Notice:
        """The notice without secrets; before the text is escaped, since escaped secrets are not
        found."""
        clean = self.ctx.redactor.text
        fields = tuple((name, clean(value)) for name, value in notice.fields)
        lines = tuple(map(clean, notice.lines))
        return notice._replace(title=clean(notice.title), fields=fields, lines=lines)

    def _value(self, name: str, value: str, notice: Notice) -> str:
        if name == "URL":
            return link(value)
        if notice.change and value.startswith(notice.change):
            subject = plain(shorten(value.removeprefix(notice.change), CELL))
            return f"{link(notice.compare_url, notice.change)} {subject}"
        return plain(shorten(value, CELL))

    def preview(self, notice: Notice) -> str:
        return self.body(notice).rstrip() if self._number else NO_CHANGE
