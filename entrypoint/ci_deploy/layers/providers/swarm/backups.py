"""Databases in a swarm: dumped on the node that runs them, with the programs of their own image."""

from __future__ import annotations

from ci_deploy.errors import (
    DeployError,
    DeployFailed,
    OutcomeUnknown,
    Problem,
    Refused,
    SettingsError,
)
from ci_deploy.layers.providers.docker.backups import (
    DATABASES,
    RESTORING,
    failed,
    kept,
    need,
    not_restored,
    servers,
)
from ci_deploy.layers.providers.docker.sharing import is_database
from ci_deploy.layers.providers.swarm.manager import Manager
from ci_deploy.layers.providers.swarm.rollout import Rollout, failure
from ci_deploy.layers.providers.swarm.settings import SwarmSettings
from ci_deploy.layers.providers.swarm.state import GOING, RESTORE, Kept, Stack
from ci_deploy.layers.providers.swarm.store import Store
from ci_deploy.run.context import Context
from ci_deploy.state import Backup

STOPPING = 120.0  # seconds


class Databases:
    """Dumps of the databases of a stack."""

    def __init__(self, ctx: Context, manager: Manager, settings: SwarmSettings) -> None:
        self.ctx, self.manager, self.settings = ctx, manager, settings
        self.store = Store(manager)
        self._nodes: dict[str, Manager] = {}  # id of a node → how it is asked

    # --- where ---

    def chosen(self, stack: Stack) -> list[tuple[str, str, Manager]]:
        """Each database with its kind and its node. Raises SettingsError for one that cannot be
        reached."""
        images = {e.name: e.image for e in stack.services.values() if e.replicas != 0}
        found = servers(images, self.settings.backup_service)
        return [(name, kind, self.node_of(stack, name)) for name, kind in found]

    def node_of(self, stack: Stack, name: str) -> Manager:
        """The node that runs a service, as one of SERVER_HOST. Raises SettingsError."""
        service = stack.services.get(name)
        tasks = stack.of(service) if service else []
        running = [task for task in tasks if task.state == "running"]
        for task in running:
            if node := self._node(task.node):
                return node
        if not running:
            raise SettingsError(Problem("BACKUP_SERVICE", f"{name} is not running."))
        where = stack.node(running[0])
        reason = f"{name} runs on the node {where}, and is dumped and restored there only."
        remedy = f"Name {where} too, after the managers: the same user and key have to be good."
        raise SettingsError(Problem("SERVER_HOST", reason, "", remedy))

    def _node(self, number: str) -> Manager | None:
        """One of SERVER_HOST by its id; asked until it is found."""
        for server in self.manager.all:
            if number in self._nodes:
                break
            if any(each.server == server for each in self._nodes.values()):
                continue
            try:
                node = self.manager.at(server)
                said = node.read(["node"], []).text
            except DeployError as error:
                self.ctx.console.warning(f"{server} cannot be asked: {error.message}")
                continue
            self._nodes[said.partition("node ")[2].strip()] = node
        return self._nodes.get(number)

    # --- dumps ---

    def backup(self, stack: Stack) -> None:
        """Dump each of them. Raises DeployFailed, SettingsError."""
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

    def found(self) -> list[tuple[Backup, Manager]]:
        """All that the nodes of SERVER_HOST keep, newest first, each with its node."""
        self._node("")
        every = [
            (each, node)
            for node in self._nodes.values()
            for each in kept(
                node.read([DATABASES.stem, "database"], ["-", "list"]).text.splitlines()
            )
        ]
        return sorted(every, key=lambda pair: pair[0].name, reverse=True)

    # --- and back ---

    def restore(self, name: str) -> None:
        """Bring a dump back: what is there is dumped before, the app is stopped for that time.

        Raises Refused, Locked, SettingsError, DeployFailed, OutcomeUnknown.
        """
        every, app = self.found(), self.ctx.app
        wanted = need(name, [each for each, _ in every], app)
        at = next(node for each, node in every if each is wanted)
        with self.manager.alone(f"restore of {name}"):
            stack = self.manager.look()
            if going := [each.name for each in stack.services.values() if each.update in GOING]:
                message = f"an update of {', '.join(going)} goes on: wait for its end first."
                raise Refused(message)
            node = self.node_of(stack, wanted.service)
            if node.server != at.server:
                message = f"{name} is on {at}, and {wanted.service} runs on {node} now."
                raise Refused(message, hint="Copy it there: both its files in .ci-deploy/backups.")
            self._restore(stack, name, wanted.service, node)

    def finish(self, stack: Stack) -> Stack:
        """A restore whose job was killed: done again from its beginning, which is safe. The stack
        then. Raises DeployFailed."""
        pending = _pending(stack)
        if not pending or self.ctx.planning:
            return stack
        name, service = pending.label("note"), pending.label("action")
        self.ctx.console.indent(f"the restore of {name} was left unfinished, and is finished first")
        self._restore(stack, name, service, self.node_of(stack, service))
        return self.manager.look()

    def _restore(self, stack: Stack, name: str, service: str, node: Manager) -> None:
        app, what = self.ctx.app, f"restore {name} on {node}, with {self.ctx.app} stopped"
        stopped = to_stop(stack, service)
        if self.ctx.planning:
            node.change([DATABASES.stem, "database"], ["-", "restore", name], what)
            return
        self.store.restoring([each.name for each in _restores(stack)], name, service, stopped)
        self._scale(dict.fromkeys(stopped, 0), f"stop {', '.join(stopped)} of {stack.name}")
        try:
            done = node.change(
                [DATABASES.stem, "database"],
                ["-", "restore", name],
                what,
                quiet=False,
                timeout=RESTORING,
            )
        except OutcomeUnknown as error:
            message = "the connection was lost; the restore continues on the node."
            hint = f"Restore it again, or deploy: that waits for its end. {app} is stopped."
            raise OutcomeUnknown(message, hint=hint) from error
        said = done.lines[-1] if done.lines else "no reason given"
        if done.exit_code not in {0, 1}:
            raise not_restored(name, said, DeployFailed)
        self._scale(stopped, f"start {', '.join(stopped)} of {stack.name}")
        self._verify(stopped)
        self.store.drop([each.name for each in _restores(self.manager.look())])
        if done.exit_code:
            raise not_restored(name, said, DeployFailed)

    def _scale(self, counts: dict[str, int], what: str) -> None:
        """Waited for: `docker service scale` returns when the engine has done it."""
        if not counts:
            return
        words = [f"{self.manager.stack}_{name}={count}" for name, count in counts.items()]
        result = self.manager.change(["scale"], words, what, quiet=False, timeout=STOPPING)
        if result.exit_code:
            said = result.lines[-1] if result.lines else "no reason given"
            raise DeployFailed(f"{what} failed: {said}", lines=result.lines, shown=True)

    def _verify(self, names: dict[str, int]) -> None:
        stack = self.manager.look()
        mine = {each.name: each.release for each in stack.ours if each.name in names}
        for release in dict.fromkeys(mine.values()):
            some = [name for name, its in mine.items() if its == release]
            rollout = Rollout(self.ctx, self.manager, release, some)
            if error := failure(rollout.follow(), release):
                raise error


def _restores(stack: Stack) -> list[Kept]:
    return [each for each in stack.kept if each.label("kind") == RESTORE]


def _pending(stack: Stack) -> Kept | None:
    return next(iter(_restores(stack)), None)


def unfinished(stack: Stack) -> str:
    """The restore that was left unfinished, in words."""
    pending = _pending(stack)
    return f"the restore of {pending.label('note')} was left unfinished" if pending else ""


def to_stop(stack: Stack, database: str) -> dict[str, int]:
    """What runs beside the databases, and how many of each; also what an earlier one has stopped.
    Raises Refused for what cannot be stopped."""
    known: dict[str, int] = {}
    for each in _restores(stack):
        pairs = (word.rpartition("=") for word in each.label("uses").split())
        known |= {name: int(count) for name, _, count in pairs if name in stack.services}
    others = [e for e in stack.services.values() if e.name != database and not is_database(e.image)]
    if whole := [each.name for each in others if each.replicas is None]:
        message = f"{', '.join(whole)} is on every node (`mode: global`), and cannot be stopped."
        raise Refused(
            message, hint="Remove it for the restore: docker service rm; a deploy brings it."
        )
    return {**known, **{each.name: each.replicas for each in others if each.replicas}}
