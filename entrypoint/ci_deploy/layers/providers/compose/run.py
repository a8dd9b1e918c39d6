"""One run on the hosts: uploads, starts and follows it, and judges how it ended."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from ci_deploy.errors import DeployFailed, OutcomeUnknown, Unauthorized, Unreachable
from ci_deploy.layers.providers.compose.follower import PATIENCE, Follower
from ci_deploy.layers.providers.compose.host_run_log import End, HostRunLog
from ci_deploy.layers.providers.compose.hosts import Host, Hosts
from ci_deploy.layers.providers.compose.outcome import failure
from ci_deploy.layers.providers.compose.settings import ComposeSettings
from ci_deploy.layers.providers.docker.client import client_url
from ci_deploy.layers.providers.docker.login import Login
from ci_deploy.layers.providers.docker.release import deployment_facts, members, tar
from ci_deploy.run.context import Context
from ci_deploy.state import Ran

TIME, NAMED = "%Y%m%dT%H%M%S", re.compile(r"2\d{7}T\d{6}\.\d{3}")  # for names of runs
KEEP = 5  # releases to keep that were live
URL_TIMEOUT = 60  # seconds for COMPOSE_CHECK_URL, unless COMPOSE_HEALTH_TIMEOUT says otherwise


class Assignment(NamedTuple):
    """What a run has to do on the hosts; the same for all of them."""

    action: str  # deploy, rollback or recover
    release: str
    project: str
    parts: Mapping[str, bytes]  # the release's files; empty when the hosts have it
    facts: Mapping[str, str]  # for the audit log
    needs: Sequence[str] = ()  # services that commands before the traffic need
    migrates: bool = False  # there are commands before the traffic
    reject: bool = False  # the live release has failed: never roll back to it again


class HostRun:
    """One run of the host program (a deploy, a rollback or a clean-up), under one name on all hosts
    or some: `start` uploads it, `follow` waits for its end. `logs` has the state of each host."""

    def __init__(
        self,
        ctx: Context,
        hosts: Hosts,
        settings: ComposeSettings,
        assignment: Assignment,
        login: Login,
        where: Sequence[Host] = (),
    ) -> None:
        """`where`: some of the hosts; by default all, which then wait for each other."""
        self.name = f"{next_name([host.facts.audit for host in hosts.all])}-{secrets.token_hex(2)}"
        self.logs: list[HostRunLog] = []
        self.started = False
        self._ctx = ctx
        self._hosts = hosts
        self._where = where or hosts.all
        self._several = len(self._where) > 1 and assignment.action != "recover"
        self._wanted = settings
        self._assignment = assignment
        self._login = login
        self._token = secrets.token_hex(8)
        self._follower = Follower(ctx, hosts, ctx.app, self.name, self._token, self._judge)
        self._objection: Exception | None = None  # a layer's error about its command

    # --- upload and start ---

    def start(self, what: str) -> bool:
        """Upload and start the run on all its hosts; False when only planning. `what` describes it
        in the log, with `{host}` for the host.

        Raises Unauthorized when a host cannot log in to the registry, DeployFailed when a host
        rejects the release: other hosts, which wait before they change anything, are told to stop.
        """
        hosts = self._where
        stdin = {str(host): self._upload(host) for host in hosts}
        self.started = not self._ctx.planning
        review = self._ctx.review
        mark = [review.base, review.branch] if review else []
        results = self._hosts.change(
            hosts,
            ["stage", self._ctx.app, self.name, *mark],
            lambda host: what.format(host=host),
            stdin,
        )
        if any(result.planned for result in results):
            return False
        for host, result in zip(hosts, results, strict=True):
            # (a host's shell may print lines of its own first)
            if any(line.startswith("started") for line in result.lines):
                continue
            self._call_off()
            if refusals := [line for line in result.lines if line.startswith("login ")]:
                registry, user = self._login.host or "Docker Hub", self._login.user
                reason = refusals[-1].removeprefix("login ")
                message = f"{host} could not log in to {registry} as {user}: {reason}"
                hint = "Check DOCKER_REGISTRY, DOCKER_USER and DOCKER_PASS"
                if user != self._wanted.registry_user:
                    hint = "The job's own login was used: set DOCKER_USER and DOCKER_PASS"
                raise Unauthorized(message, hint=f"{hint}.")
            said = "\n".join(result.lines) or "no reason given"
            message = f"{host} rejected the release: {said}"
            raise DeployFailed(message, lines=result.lines, shown=False)
        return True

    def _call_off(self) -> None:
        with contextlib.suppress(OutcomeUnknown, Unreachable):  # without contact they roll back too
            self.tell("another host rejected the release", "back")

    def _upload(self, host: Host) -> bytes:
        run = {
            "settings": self._settings(host),
            "title": self._title(),
            "meta": members({**deployment_facts(self._ctx), **self._assignment.facts}),
        }
        parts = {f"run/{name}": text.encode() for name, text in run.items()}
        parts |= {f"release/{name}": content for name, content in self._assignment.parts.items()}
        return f"{self._login.password}\n".encode() + tar(parts)

    def _title(self) -> str:
        facts = self._ctx.facts
        by = facts.job_url or facts.actor
        what = f"{self._assignment.action} of {self._assignment.release}"
        return f"{what}{f' by {by}' if by else ''}\n"

    def _settings(self, host: Host) -> str:
        """The run's settings as `key value` lines; each value is on one line and is never run."""
        wanted, core = self._wanted, self._ctx.settings
        first = host is self._where[0]
        values = {
            "token": self._token,
            "action": self._assignment.action,
            "release": self._assignment.release,
            "project": self._assignment.project,
            "run_service": wanted.run_service,
            "deploy_env": wanted.deploy_env,
            "registry": self._login.host,
            "user": self._login.user,
            "lock_timeout": core.lock_timeout,
            "limit": core.timeout,
            "steady": wanted.steady,
            "health_timeout": wanted.health_timeout,
            "url": wanted.check_url.replace("{host}", host.server.bracketed),
            "client_url": client_url(
                wanted.check_url or self._ctx.health_url, host.server.bracketed
            ),
            "url_timeout": wanted.health_timeout or URL_TIMEOUT,
            "min_free": wanted.min_free,
            "refuse_outdated": "yes" if core.refuse_outdated else "no",
            "gates": "yes" if self._several else "no",
            "recreate": "yes" if core.redeploy else "no",
            "migrates": "yes" if self._assignment.migrates and first else "no",
            "reject": "yes" if self._assignment.reject else "no",
            "patience": int(PATIENCE),
            "needs": " ".join(self._assignment.needs),
            "keep": KEEP,
        }
        return "".join(f"{key} {value}\n" for key, value in values.items())

    # --- follow ---

    def follow(self) -> None:
        """Follow the run to its end on all its hosts; clean up where it was killed. Raises the
        error of a layer whose command failed, or what `failure` returns for the ends, and
        OutcomeUnknown when the contact is lost or the time is over."""
        self.logs = self._follower.follow(self._where, self._wanted.batch)
        if self._objection:
            raise self._objection
        self._heal()
        seen = [(log.host, log.client) for log in self.logs if log.client]
        several = len(self._hosts.all) > 1
        told = [f"{host}: {client}" if several else client for host, client in seen]
        self._ctx.report.client = "; ".join(told)
        if error := failure(self.logs, self._follower.how_to_follow):
            raise error

    def _heal(self) -> None:
        """For runs that were killed on their hosts: let the host clean up, and take the result."""
        dead = [log for log in self.logs if log.end and log.end.word == "died"]
        if not dead or self._assignment.action == "recover":
            return
        names = ", ".join(str(log.host) for log in dead)
        self._ctx.console.warning(
            f"the run on {names} was killed; cleaning up what it left behind."
        )
        if self._agreed:
            self.tell("", "keep")  # it may have been killed before it received that
        assignment = self._assignment._replace(action="recover", parts={})
        hosts = [log.host for log in dead]
        again = HostRun(self._ctx, self._hosts, self._wanted, assignment, self._login, hosts)
        again.start("clean up on {host}")
        ends = again._follower.follow(hosts)
        self._hosts.status(self._ctx.app)
        for log, healed in zip(dead, ends, strict=True):
            log.trouble = healed.trouble or log.trouble
            end = healed.end or End("died")
            log.end = _after_healing(log, end, self._assignment.release, self._ctx.app)

    def _judge(self, log: HostRunLog, number: int, code: int) -> str:
        """Let the layer of a finished command before the traffic check its result; returns the
        answer. Nothing may be raised here, in the middle of reading the hosts' logs."""
        lines = tuple(log.spoken.get(number, [])[-20:])
        try:
            self._ctx.before_traffic[number - 1].check(Ran(code, lines))
        except Exception as error:  # noqa: BLE001 - raised again when the hosts have ended
            self._objection = error
            return f"back {error}"
        return f"step.{number}"

    # --- the job is cancelled ---

    @property
    def open(self) -> bool:
        """Whether it was started and may not have ended."""
        return self.started and not (self.logs and all(log.end for log in self.logs))

    def cancel(self) -> None:
        """Tell the hosts what to do after the cancel (ON_CANCEL), and log what that is; they do it
        without this job. A host that cannot be told is only a warning."""
        try:
            if self._agreed:
                self.tell("", "keep")
            elif self._several or self._wanted.on_cancel == "rollback":
                self.tell("the job was cancelled", "back")
        except (OutcomeUnknown, Unreachable) as error:
            self._ctx.console.warning(
                f"the hosts may not have been notified of the cancellation ({error}), and may end "
                "otherwise than the next line says; `ci-deploy status` shows what runs."
            )
        self._ctx.console.indent(f"{self._what_now()}\n{self._follower.how_to_follow}")

    @property
    def _agreed(self) -> bool:
        """Whether all of several hosts have verified the release: then none may roll back alone."""
        return self._follower.coordinator.agreed

    def _what_now(self) -> str:
        release = self._assignment.release
        if self._agreed:
            return f"all hosts have verified {release}, so they keep it."
        if self._several:
            return (
                f"not all hosts have verified {release}: those that were switched roll back, the "
                "others stay as they are. Without a previous release new containers are stopped."
            )
        if self._wanted.on_cancel == "rollback":
            return (
                f"{self._where[0]} rolls back to the previous release (ON_CANCEL=rollback); "
                "if there is none, it stops the new containers."
            )
        return (
            f"{self._where[0]} finishes {release} without this job; if it is not healthy, the "
            "host rolls back or, without a previous release, stops it."
        )

    def tell(self, text: str, *words: str) -> None:
        """Send the messages `words` (`keep`, `back`) to the run on all hosts; `text` is the reason
        for `back`. Raises OutcomeUnknown, Unreachable."""
        what = f"tell {{host}} to {'roll back' if 'back' in words else 'continue'}"
        self._hosts.change(
            self._where,
            ["tell", self._ctx.app, self.name, text, *words],
            lambda host: what.format(host=host),
            timeout=3.0,
        )


def next_name(logs: Iterable[Iterable[Mapping[str, Any]]], now: datetime | None = None) -> str:
    """A name for a run from the time (UTC, `20261130T093000.000`), but later than every run in the
    hosts' audit logs: names define the order of runs, and the clocks of runners differ."""
    now = now or datetime.now(UTC)
    names = [str(entry.get("run"))[: len("20261130T093000.000")] for log in logs for entry in log]
    for latest in sorted(filter(NAMED.fullmatch, names))[-1:]:
        after = datetime.strptime(f"{latest}+0000", f"{TIME}.%f%z") + timedelta(milliseconds=1)
        now = max(now, after)
    return f"{now:{TIME}}.{now.microsecond // 1000:03}"


def _after_healing(log: HostRunLog, end: End, release: str, app: str) -> End:
    """The end of a run that was killed, by what its host runs after the clean-up."""
    facts, killed = log.host.facts, "the run on the host was killed"
    if end.word in {"live", "noop"}:  # noop: killed before its switch, or after everything was done
        live = facts.current == release and facts.live(app).up
        return End("live") if live else End("failed", killed)
    if end.word in {"rolled-back", "stopped"}:
        return End(end.word, killed)
    return End("broken", f"{killed}; {end.text}") if end.word == "broken" else End("died")
