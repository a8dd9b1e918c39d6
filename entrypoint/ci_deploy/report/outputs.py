"""The results of a run (`Report`): outputs, the job summary and `deploy-report.json`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ci_deploy.report.markdown import fenced, link, plain

SCHEMA_VERSION = 1  # of deploy-report.json; raised when a field changes its meaning

# The public outputs: name and description.
OUTPUTS = {
    "status": "`succeeded`, `skipped`, `disabled`, `failed`, `live-but-failed`, `rolled-back` "
    "or `cancelled`",
    "app": "Name of the app on the provider",
    "environment": "The environment, like `staging`",
    "url": "URL of the app",
    "revision": "The full SHA that this run was to deploy",
    "previous-revision": "The full SHA that was live before",
    "release": "The provider's name for the release that is live now",
    "changed": "`true` when this run changed what is live",
    "duration": "Seconds from start to end",
}


@dataclass
class EventReport:
    """One ordinary event of the run, like `pre_deploy` (`run.events.Event`), that has begun."""

    name: str
    seconds: float = 0.0  # how long its handlers took
    error: str = ""  # the message of the error that ended it


@dataclass
class Report:
    """The facts of one run of a command, as deploy-report.json has them. The run fills them in
    (`Deployment`, `run.summary`); texts that are unknown are empty."""

    command: str
    status: str = "failed"  # until the end of the run sets another
    exit_code: int = 1
    app: str = ""
    environment: str = ""
    url: str = ""
    provider: str = ""
    revision: str = ""  # full SHA: the one to deploy
    previous_revision: str = ""  # full SHA: the one that was live before
    live_revision: str = ""  # full SHA: the one that is live now
    busy: bool = False  # a deployment is still in progress, this one or another
    release: str = ""  # the provider's name for the release that is live now
    changed: bool = False  # this run has changed what is live
    duration: float = 0.0  # seconds
    ref: str = ""  # the branch or tag
    actor: str = ""  # who started the job
    commit_url: str = ""
    compare_url: str = ""
    job_url: str = ""
    message: str = ""  # what failed, or why nothing was deployed
    hint: str = ""  # what to do next
    lines: tuple[str, ...] = ()  # the last lines of the program that failed
    failed_event: str = ""
    failed_layer: str = ""
    live: str = ""  # the sentence that answers "what is live now?"
    idle: str = ""  # a sentence if the app is scaled to 0, with the command that starts it
    rollback: str = ""  # the command that rolls back
    client: str = ""  # a sentence: what clients noticed of the switch between releases
    backups: list[str] = field(default_factory=list)  # made before the migrations, by name
    events: list[EventReport] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)  # as the log and `plan` show them
    warnings: list[str] = field(default_factory=list)
    finished: bool = False  # the run has ended, and all facts are final

    def outputs(self) -> dict[str, str]:
        """The public outputs: each name in OUTPUTS → value, a single line, perhaps empty."""
        values: dict[str, object] = {
            "status": self.status,
            "app": self.app,
            "environment": self.environment,
            "url": self.url,
            "revision": self.revision,
            "previous-revision": self.previous_revision,
            "release": self.release,
            "changed": str(self.changed).lower(),
            "duration": f"{self.duration:.1f}",
        }
        return {name: " ".join(str(values[name]).split()) for name in OUTPUTS}

    def as_json(self) -> dict[str, Any]:
        """The content of deploy-report.json: `schema` (SCHEMA_VERSION) and all fields."""
        return {"schema": SCHEMA_VERSION, **asdict(self)}

    @property
    def links(self) -> dict[str, str]:
        """Links to the app, the commit and the comparison: label → URL, without unknown ones."""
        named = {
            f"{self.app} ({self.environment})" if self.environment else self.app: self.url,
            "Commit": self.commit_url,
            "Changes": self.compare_url,
        }
        return {label: url for label, url in named.items() if url}

    def summary(self) -> str:
        """The job summary, in Markdown. Texts from outside are fenced or escaped."""
        command = f"{self.command}: " if self.command else ""
        head = f"## {_mark(self.status)} {command}{plain(self.live or self.status)}"
        rows = [
            ("Status", f"`{self.status}`"),
            ("App", plain(self.app)),
            ("Environment", plain(self.environment)),
            ("URL", link(self.url)),
            ("Before → after", self._change()),
            ("Processes", plain(self.idle)),
            ("For clients", plain(self.client)),
            ("Backup", plain(", ".join(self.backups))),
            ("Deployed by", plain(self.actor)),
            ("Duration", f"{self.duration:.1f} s"),
            ("Roll back", f"`{self.rollback}`" if self.rollback else ""),
        ]
        parts = [head, "", "| | |", "|---|---|"]
        parts += [f"| {name} | {value} |" for name, value in rows if value]
        if self.message:
            parts += ["", fenced("\n".join(filter(None, (self.message, self.hint))))]
        if self.warnings:
            parts += ["", "**Warnings**", "", fenced("\n".join(self.warnings))]
        if self.events:
            parts += ["", "| event | seconds |", "|---|---:|"]
            parts += [f"| {event.name} | {event.seconds:.1f} |" for event in self.events]
        return "\n".join(parts) + "\n"

    def _change(self) -> str:
        removed = self.command == "destroy" and self.status == "succeeded"
        old = self.previous_revision[:7] or "nothing"
        text = f"`{old}` → `{self.live_revision[:7] or ('removed' if removed else 'none known')}`"
        return f"{text} ([compare]({self.compare_url}))" if self.compare_url else text


def _mark(status: str) -> str:
    return {"succeeded": "✅", "skipped": "⏭️", "disabled": "⏭️"}.get(status, "❌")
