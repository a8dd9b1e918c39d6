"""The results of a run: outputs, the job summary and `deploy-report.json`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ci_deploy.report.markdown import fenced, link, plain

SCHEMA_VERSION = 1  # of deploy-report.json; raised when a field changes its meaning

# The public outputs (DESIGN.md, section 7): name and content.
OUTPUTS = {
    "status": "`succeeded`, `skipped`, `disabled`, `failed`, `live-but-failed`, `rolled-back` "
    "or `cancelled`",
    "app": "Name of the app on the provider",
    "environment": "The environment, like `staging`",
    "url": "URL of the app",
    "revision": "The full SHA to be deployed",
    "previous-revision": "The full SHA that was live before",
    "release": "The provider's name for the release that is live now",
    "changed": "`true` when this run changed what is live",
    "duration": "Seconds from start to end",
}


@dataclass
class EventReport:
    """How one event went."""

    name: str
    seconds: float = 0.0
    error: str = ""


@dataclass
class Report:
    """The facts of one run; `status` is `failed` until the end sets another."""

    command: str
    status: str = "failed"
    exit_code: int = 1
    app: str = ""
    environment: str = ""
    url: str = ""
    provider: str = ""
    revision: str = ""
    previous_revision: str = ""
    live_revision: str = ""
    busy: bool = False  # a deployment is still in progress, this one or another
    release: str = ""
    changed: bool = False
    duration: float = 0.0
    ref: str = ""
    actor: str = ""
    commit_url: str = ""
    compare_url: str = ""
    job_url: str = ""
    message: str = ""
    hint: str = ""
    lines: tuple[str, ...] = ()  # the last lines of the program that failed
    failed_event: str = ""
    failed_layer: str = ""
    live: str = ""  # the sentence that answers "what is live now?"
    idle: str = ""  # that nothing of it runs, since it is scaled to 0, and what starts it
    rollback: str = ""  # how to go back
    client: str = ""  # what a client would have noticed of the switch
    backups: list[str] = field(default_factory=list)  # made before the migrations, by name
    events: list[EventReport] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    finished: bool = False

    def outputs(self) -> dict[str, str]:
        """The public outputs by name; each value is one line."""
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
        """The content of deploy-report.json."""
        return {"schema": SCHEMA_VERSION, **asdict(self)}

    @property
    def links(self) -> dict[str, str]:
        """Links to the app, the commit and the comparison: label → URL."""
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
        old, new = self.previous_revision[:7] or "nothing", self.live_revision[:7] or "unknown"
        text = f"`{old}` → `{new}`"
        return f"{text} ([compare]({self.compare_url}))" if self.compare_url else text


def _mark(status: str) -> str:
    return {"succeeded": "✅", "skipped": "⏭️", "disabled": "⏭️"}.get(status, "❌")
