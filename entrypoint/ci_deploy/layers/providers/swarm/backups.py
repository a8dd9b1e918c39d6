"""Database dumps in a swarm: made on the node that runs the database, with its image's programs."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ci_deploy.errors import (
    DeployError,
    DeployFailed,
    OutcomeUnknown,
    Problem,
    Refused,
    SettingsError,
)
from ci_deploy.layers.providers.backups import failed, need, not_restored
from ci_deploy.layers.providers.docker.backups import DATABASES, RESTORING, kept, made, servers
from ci_deploy.layers.providers.docker.sharing import is_database
from ci_deploy.layers.providers.swarm.manager import Manager
from ci_deploy.layers.providers.swarm.rollout import Rollout, failure
from ci_deploy.layers.providers.swarm.settings import SwarmSettings
from ci_deploy.layers.providers.swarm.state import GOING, NOWHERE, RESTORE, Kept, Service, Stack
from ci_deploy.layers.providers.swarm.store import Store
from ci_deploy.run.context import Context
from ci_deploy.run.tasks import Key, Task, loaded
from ci_deploy.state import Backup

STOPPING = 120  # seconds within which tasks must end
EVERY = "every"  # instead of a count: a task on each node


class Databases:
    """Dumps and restores the databases of a stack, each on the node that runs it."""

    def __init__(self, ctx: Context, manager: Manager, settings: SwarmSettings) -> None:
        self.ctx, self.manager, self.settings = ctx, manager, settings
        self.store = Store(manager)
        self._nodes: dict[str, Manager] = {}  # id of a node → its connection

    # --- nodes ---

    def chosen(self, stack: Stack) -> list[tuple[str, str, Manager]]:
        """The databases to dump: name, kind (`postgres`, `mysql`, `unknown`), and node. Raises
        SettingsError when there is none, or one does not run on a node of SERVER_HOST."""
        images = {e.name: e.image for e in stack.services.values() if e.replicas != 0}
        found = servers(images, self.settings.backup_service)
        return [(name, kind, self.node_of(stack, name)) for name, kind in found]

    def node_of(self, stack: Stack, name: str) -> Manager:
        """The node of SERVER_HOST that runs the service `name`. Raises SettingsError when it does
        not run, or only on other nodes."""
        service = stack.services.get(name)
        tasks = stack.of(service) if service else []
        running = [task for task in tasks if task.state == "running"]
        for task in running:
            if node := self._node(task.node):
                return node
        if not running:
            remedy = f"On a manager: docker service ps {stack.name}_{name}" if service else ""
            raise SettingsError(Problem("BACKUP_SERVICE", f"{name} is not running.", "", remedy))
        where = stack.node(running[0])
        reason = f"{name} runs on the node {where}, and can be dumped and restored only there."
        remedy = f"Add {where} after the managers; the same user and key must work there."
        raise SettingsError(Problem("SERVER_HOST", reason, "", remedy))

    def _node(self, number: str) -> Manager | None:
        """The node of SERVER_HOST with this id, or None. The nodes are asked until it is found."""
        for server in self.manager.all:
            if number in self._nodes:
                break
            if any(each.server == server for each in self._nodes.values()):
                continue
            try:
                node = self.manager.at(server)
                said = node.read(["node"], []).text
            except DeployError as error:
                self.ctx.console.warning(f"{server} could not be queried: {error.message}")
                continue
            self._nodes[said.partition("node ")[2].strip()] = node
        return self._nodes.get(number)

    # --- dumps ---

    def backup(self, stack: Stack) -> None:
        """Dump each database to a file on its node; their names go into the report. Raises
        DeployFailed, SettingsError, OutcomeUnknown."""
        release = (self.ctx.before and self.ctx.before.release) or "-"
        for name, kind, node in self.chosen(stack):
            place = f"{self.settings.path or '~'}/.ci-deploy/backups/{stack.name}"
            what = f"back up {name} to {place} on {node}"
            words = [release, "dump", name, kind]
            done = node.change(
                [DATABASES.stem, "database"], words, what, quiet=False, timeout=float("inf")
            )
            if done.exit_code:
                raise failed(done.lines)
            self.ctx.report.backups += made(done.lines)

    def found(self) -> list[tuple[Backup, Manager]]:
        """All dumps on the nodes of SERVER_HOST, newest first, each with its node. Warns of nodes
        that cannot be queried."""
        self._node("")
        every = [
            (each, node)
            for node in self._nodes.values()
            for each in kept(
                node.read([DATABASES.stem, "database"], ["-", "list"]).text.splitlines()
            )
        ]
        return sorted(every, key=lambda pair: pair[0].name, reverse=True)

    # --- restoring ---

    def restore(self, name: str) -> None:
        """Restore a dump while the app is stopped; the present data is dumped before.

        Raises Refused, Locked, SettingsError, DeployFailed, OutcomeUnknown.
        """
        every, app = self.found(), self.ctx.app
        wanted = need(name, [each for each, _ in every], app)
        at = next(node for each, node in every if each is wanted)
        with self.manager.alone(f"restore of {name}"):
            stack = self.manager.look()
            if going := [each.name for each in stack.services.values() if each.update in GOING]:
                message = (
                    f"an update of {', '.join(going)} is in progress: wait until it has ended."
                )
                raise Refused(message)
            node = self.node_of(stack, wanted.service)
            if node.server != at.server:
                message = f"{name} is on {at}, but {wanted.service} now runs on {node}."
                folder = f"{self.settings.path or '~'}/.ci-deploy/backups/{stack.name}"
                hint = f"Copy {name}.sql.gz and {name}.about, in {folder}, to that node."
                raise Refused(message, hint=hint)
            self._restore(stack, name, wanted.service, node)

    def finish(self, stack: Stack) -> Stack:
        """Repeat a restore that an earlier run has not finished, from its beginning, which is safe.
        Returns the state of the stack after it, or `stack` if there is none. Raises DeployFailed,
        SettingsError, OutcomeUnknown, Refused."""
        if not (pending := _readable(stack)):
            return stack
        task = pending[0]
        self.ctx.console.indent(f"an earlier run was interrupted, so this one must: {task.words}")
        self._restore(stack, task.dump, task.service, self.node_of(stack, task.service))
        return stack if self.ctx.planning else self.manager.look()

    def _restore(self, stack: Stack, name: str, service: str, node: Manager) -> None:
        app, what = self.ctx.app, f"restore {name} on {node}, with {self.ctx.app} stopped"
        stopped = to_stop(stack, service)
        if self.ctx.planning:
            node.change([DATABASES.stem, "database"], ["-", "restore", name], what)
            return
        noted = tuple(f"{each}={count}" for each, count in stopped.items())
        task = Task(Key.RESTORE, dump=name, service=service, stopped=noted)
        self.store.restoring([each.name for each in _notes(stack)], task)
        none = {each: "none" if count == EVERY else "0" for each, count in stopped.items()}
        self._scale(none, f"stop {', '.join(stopped)} of {stack.name}")
        try:
            done = node.change(
                [DATABASES.stem, "database"],
                ["-", "restore", name],
                what,
                quiet=False,
                timeout=RESTORING,
            )
        except OutcomeUnknown as error:
            message = f"{error.message} The restore continues on {node}."
            hint = (
                f"{app} is stopped. Restore again, or deploy: either waits until this restore "
                "has ended."
            )
            raise OutcomeUnknown(message, hint=hint) from error
        said = done.lines[-1] if done.lines else "no reason given"
        if done.exit_code not in {0, 1}:
            raise not_restored(name, said, DeployFailed)
        self._scale(stopped, f"start {', '.join(stopped)} of {stack.name}")
        self._verify(stopped)
        self.store.drop([each.name for each in _notes(self.manager.look())])
        if done.exit_code:
            raise not_restored(name, said, DeployFailed)

    def _scale(self, counts: Mapping[str, str], what: str) -> None:
        """Scale services (name → count), and wait where they are stopped. Raises DeployFailed."""
        if not counts:
            return
        words = [f"{self.manager.stack}_{name}={count}" for name, count in counts.items()]
        words = [str(STOPPING), NOWHERE, *words]
        result = self.manager.change(["scale"], words, what, quiet=False, timeout=2.5 * STOPPING)
        if result.exit_code:
            said = result.lines[-1] if result.lines else "no reason given"
            hint = "Restore again, or deploy: either repeats the restore, and then starts the app."
            raise DeployFailed(f"{what} failed: {said}", hint=hint, lines=result.lines)

    def _verify(self, names: Collection[str]) -> None:
        stack = self.manager.look()
        mine = {each.name: each.release for each in stack.ours if each.name in names}
        for release in dict.fromkeys(mine.values()):
            some = [name for name, its in mine.items() if its == release]
            rollout = Rollout(self.ctx, self.manager, release, some)
            if error := failure(rollout.follow(), release):
                raise error


def _notes(stack: Stack) -> list[Kept]:
    found = (each for each in stack.kept if each.label("kind") == RESTORE)
    return sorted(found, key=lambda each: each.version, reverse=True)


def restores(stack: Stack) -> list[Task]:
    """The tasks of restores that were begun and not finished, newest first; one that this version
    cannot read has another key than `Key.RESTORE`."""
    return [task for each in _notes(stack) for task in _tasks(each)]


def _tasks(note: Kept) -> tuple[Task, ...]:
    text = note.label("note")
    if text.startswith("{"):
        return loaded(text)
    uses = tuple(note.label("uses").split())  # as earlier versions wrote it
    return (Task(Key.RESTORE, dump=text, service=note.label("action"), stopped=uses),)


def _readable(stack: Stack) -> list[Task]:
    found = restores(stack)
    for task in found:
        if task.key != Key.RESTORE:
            message = (
                f"{stack.name} may be stopped for a restore, but the record of it cannot be read"
            )
            hint = "Deploy with the version of ci-deploy that wrote it."
            raise Refused(f"{message}: {task.words}.", hint=hint)
    return found


def to_stop(stack: Stack, database: str) -> dict[str, str]:
    """The services to stop for a restore: name → count of tasks, or EVERY. These are all that run
    and are no database, and those that an interrupted restore has stopped. Raises Refused for one
    that cannot be stopped."""
    known: dict[str, str] = {}
    for task in reversed(_readable(stack)):
        pairs = (word.rpartition("=") for word in task.stopped)
        known |= {name: count for name, _, count in pairs if name in stack.services}
    others = [e for e in stack.services.values() if e.name != database and not is_database(e.image)]
    found = {each.name: _count(each) for each in others if _runs(stack, each)}
    found = {**known, **found}
    _check(stack, [stack.services[name] for name in found])
    return found


def _runs(stack: Stack, service: Service) -> bool:
    """Whether a restore must stop a service and start it again. A task that has finished is left
    alone: a start would repeat it."""
    done = service.ends and not stack.busy(service)
    return service.stopped or (service.replicas != 0 and not done)


def _count(service: Service) -> str:
    return EVERY if service.replicas is None else str(service.replicas)


def _check(stack: Stack, services: Collection[Service]) -> None:
    """Raise Refused for a job that has not ended, and for tasks on a node that does not answer."""
    if jobs := [each.name for each in services if each.job]:
        message = f"{', '.join(jobs)} is a job that has not ended: wait until it has."
        raise Refused(message)
    for each in services:
        where = {stack.node(task) for task in stack.of(each) if task.state == "running"}
        if lost := where & set(stack.down):
            down = ", ".join(sorted(lost))
            message = f"{each.name} may still run on {down}, which does not answer."
            gone = f"docker node rm --force {down.replace(',', '')}"
            hint = f"Start {down}; or, if gone for good, run on a manager: {gone}"
            raise Refused(message, hint=hint)
