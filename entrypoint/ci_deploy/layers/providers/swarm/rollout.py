"""Follows a release in the engine until it is verified, or has failed. Changes nothing: the engine
continues by itself.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from ci_deploy.errors import DeployError, DeployFailed, OutcomeUnknown, RolledBack
from ci_deploy.layers.providers.swarm.judge import DONE, Judged, State, complaint, judge
from ci_deploy.layers.providers.swarm.manager import Manager
from ci_deploy.layers.providers.swarm.state import Service, Stack, Task
from ci_deploy.run.context import Context

BASE = 60.0  # seconds without any progress, beyond what healthchecks and delays take
EVERY = (0.5, 2.0)  # seconds between two queries: at first, and later
ENDED = {"failed", "complete", "shutdown"}  # states of tasks that have run
LAST_WORDS = 15  # last lines that are shown of a failed task


@dataclass
class Rollout:
    """The rollout of one release (`release`, an id) to the services `names`. `before`: ids of tasks
    that existed already; `stack`: the state that was fetched last."""

    ctx: Context
    manager: Manager
    release: str
    names: Sequence[str]
    before: Collection[str] = ()
    patience: int = 0  # COMPOSE_HEALTH_TIMEOUT; 0: as long as the services say
    stack: Stack = field(default_factory=Stack)
    _seen: dict[str, tuple[frozenset[str], float]] = field(default_factory=dict)
    _told: dict[str, str] = field(default_factory=dict)
    _why: dict[str, str] = field(default_factory=dict)

    def follow(self) -> list[Judged]:
        """Query the manager until the state of every service is final, there was no progress for
        too long, or the run's time is over; logs the progress. Returns the judgement of each
        service. Raises Cancelled, Unreachable."""
        started = since = time.monotonic()
        best, pause = -1, EVERY[0]
        while True:
            self.stack = self.manager.look(brief=True)
            found = [judge(self.stack, name, self.release) for name in self.names]
            self._tell(found)
            if all(each.state in DONE and self._steady(each) for each in found):
                break
            reached = sum(each.new for each in found)
            if reached > best:
                best, since = reached, time.monotonic()
            limit = max((patience(self.stack.services.get(n)) for n in self.names), default=BASE)
            if time.monotonic() - since > (self.patience or limit):
                break
            if self.ctx.runner.until - time.monotonic() < pause + 1:
                break
            self.ctx.console.still(started)
            self.ctx.cancellation.sleep(pause)
            pause = min(pause * 1.2, EVERY[1])
        return [self._reasons(each) for each in found]

    def _steady(self, judged: Judged) -> bool:
        """Whether the same tasks have run for the service's `monitor` seconds."""
        if judged.state is not State.GOOD or judged.ids <= set(self.before):
            return True
        now, service = time.monotonic(), self.stack.services[judged.name]
        if self._seen.get(judged.name, (None, 0.0))[0] != judged.ids:
            self._seen[judged.name] = (judged.ids, now)
        return now - self._seen[judged.name][1] >= service.monitor

    def fresh(self, service: Service) -> list[Task]:
        """The tasks of a service that are not in `before`, newest first. After a rollback, without
        those of the specification to which the engine has returned."""
        tasks = [t for t in self.stack.of(service) if t.id not in self.before]
        back = service.release != self.release
        return [t for t in tasks if not (back and service.made(t))]

    def _reasons(self, each: Judged) -> Judged:
        """Add the engine's messages during the rollout, and errors of this release's tasks."""
        service = self.stack.services.get(each.name)
        if each.state is State.GOOD or service is None:
            return each
        said = (complaint(self.stack, task) for task in self.fresh(service))
        why = each.why or self._why.get(each.name, "")
        return each._replace(trouble=tuple(dict.fromkeys(filter(None, said))), why=why)

    def _tell(self, found: Sequence[Judged]) -> None:
        for each in found:
            if each.why:
                self._why[each.name] = each.why
            if self._told.get(each.name) != each.text:
                self._told[each.name] = each.text
                self.ctx.console.indent(str(each))


def patience(service: Service | None) -> float:
    """The seconds that a service may take until one more task of it runs, by its healthcheck,
    `update_config` and stop grace period."""
    if service is None:
        return BASE
    container = service.template.get("ContainerSpec") or {}
    check = container.get("Healthcheck") or {}
    test = check.get("Test") or ["NONE"]
    seconds = 0.0
    if test != ["NONE"]:
        interval = (check.get("Interval") or 30e9) + (check.get("Timeout") or 30e9)
        seconds = ((check.get("StartPeriod") or 0) + interval * (check.get("Retries") or 3)) / 1e9
    delay = ((service.spec.get("UpdateConfig") or {}).get("Delay") or 0) / 1e9
    grace = (container.get("StopGracePeriod") or 10e9) / 1e9
    return BASE + float(seconds + delay + grace + service.monitor)


def failure(found: Sequence[Judged], release: str) -> DeployError | None:
    """The error that follows from the judgements `found`; None when all of these services run
    `release`. Its `lines` are the engine's errors about tasks."""
    bad = [each for each in found if each.state is not State.GOOD]
    if not bad:
        return None
    states = {each.state for each in bad}
    text = "\n".join(str(each) for each in found)
    lines = tuple(dict.fromkeys(line for each in bad for line in each.trouble))
    if State.BROKEN in states:
        hint = "Deploy a release that works, or check on a manager: `docker stack ps STACK`."
        return DeployFailed(
            f"{release} failed, and the engine has paused its rollback:\n{text}",
            hint=hint,
            lines=lines,
        )
    if State.ROLLED_BACK in states:
        return RolledBack(
            f"{release} failed, and the engine has rolled it back:\n{text}", lines=lines
        )
    if State.PAUSED in states:
        hint = (
            "Deploy a release that works, or go back to one: `ci-deploy rollback [REVISION]`. With "
            "`deploy.update_config.failure_action: rollback` in the compose file the engine rolls "
            "back by itself."
        )
        return DeployFailed(f"the engine has paused the update:\n{text}", hint=hint, lines=lines)
    if states & {State.OVERTAKEN, State.GONE}:
        hint = "Let only one pipeline deploy a stack at a time, then run this job again."
        message = (
            f"another deploy, or a manual change, altered the stack before {release} was verified:"
        )
        message += f"\n{text}"
        return DeployFailed(message, hint=hint, lines=lines)
    if any(each.trouble for each in bad) and not any(each.going for each in bad):
        hint = (
            "The engine may keep trying (`restart_policy`). Deploy a release that works, or go "
            "back to one: `ci-deploy rollback [REVISION]`."
        )
        return DeployFailed(f"{release} does not start:\n{text}", hint=hint, lines=lines)
    hint = "The engine continues; `ci-deploy status` shows its progress."
    return OutcomeUnknown(
        f"timed out before {release} was verified:\n{text}", hint=hint, lines=lines
    )


def last_words(manager: Manager, rollout: Rollout, found: Sequence[Judged]) -> list[str]:
    """The last output lines of the newest failed (else ended) task, as `SERVICE | LINE`, for each
    service that does not run the release."""
    said: list[str] = []
    for each in found:
        service = rollout.stack.services.get(each.name)
        if each.state is State.GOOD or service is None:
            continue
        ended = [t for t in rollout.fresh(service) if t.state in ENDED]
        if task := next((t for t in ended if t.state == "failed"), next(iter(ended), None)):
            answer = manager.read(["words"], [task.id, str(LAST_WORDS)])
            said += [f"{each.name} | {line}" for line in answer.text.splitlines()[-LAST_WORDS:]]
    return said
