"""Review apps in a swarm: a stack with a mark for each branch. Its volumes are removed only on the
nodes that SERVER_HOST names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ci_deploy.errors import DeployError, DeployFailed, Problem, SettingsError
from ci_deploy.layers.providers.docker.review import guard_base, project, unset, variables
from ci_deploy.layers.providers.docker.sharing import Beside, Other, problems, routes, take
from ci_deploy.layers.providers.docker.tree import Tree
from ci_deploy.layers.providers.swarm.manager import Manager
from ci_deploy.layers.providers.swarm.state import MARK, REVIEW, Stack
from ci_deploy.layers.providers.swarm.store import mark_name
from ci_deploy.net.ssh.server import Server
from ci_deploy.process.program import Result
from ci_deploy.run.context import Context
from ci_deploy.run.review_app import ReviewApp, addresses
from ci_deploy.settings.lines import from_json

LONGEST = 40  # characters of a stack's name: `STACK_SERVICE` may have 63
REMOVING = 120  # seconds within which the engine must stop everything, on each node
NAMESPACE = "com.docker.stack.namespace"


def exists(stack: Stack) -> bool:
    """Whether anything of the review app whose stack this is exists in the swarm, perhaps only a
    part that a killed `destroy` has left."""
    return bool(stack.services or stack.jobs or stack.networks or stack.kept)


def marked(stack: Stack, base: str) -> bool:
    """Whether the stack is a review app of `base` that we have created: by its mark, or, without
    one, by a label of all its services."""
    if marks := [each for each in stack.kept if each.label("kind") == MARK]:
        return marks[0].label("review") == base
    mine = [each.labels.get(REVIEW) == base for each in stack.services.values()]
    return bool(mine) and all(mine)


def labelled(data: Mapping[str, Any], base: str) -> dict[str, Any]:
    """The stack file `data` with a label that names `base` on every service, network and volume
    that the engine creates from it."""
    mark = {REVIEW: base}

    def owned(kind: str) -> dict[str, Any]:
        return {
            key: each
            if each.get("external")
            else {**each, "labels": {**each.get("labels", {}), **mark}}
            for key, each in (data.get(kind) or {}).items()
        }

    services = {}
    for name, entry in data["services"].items():
        deploy = entry.get("deploy") or {}
        labels = {**(deploy.get("labels") or {}), **mark}
        services[name] = {**entry, "deploy": {**deploy, "labels": labels}}
    return {
        **data,
        "services": services,
        "networks": owned("networks"),
        "volumes": owned("volumes"),
    }


# --- conflicts with other stacks ---


class Guard:
    """Finds what a review app must not share with other stacks. `base`: the base app's stack."""

    def __init__(self, ctx: Context, manager: Manager, tree: Tree, base: str) -> None:
        self.ctx, self.manager, self.tree, self.base = ctx, manager, tree, base
        self.review = ctx.reviewed
        self.specs: list[Mapping[str, Any]] = []

    def problems(self, data: Mapping[str, Any], path: str) -> Iterator[Problem]:
        """What the stack file `data`, whose relative paths start at `path`, would share with other
        apps, and variables that have no value."""
        yield from unset(self.tree, variables(self.review, self.ctx.facts))
        lines = self.manager.read(["beside", "neighbours"], []).text.splitlines()
        others, known = neighbours(lines, self.specs)
        beside = Beside("", [path], others, known)
        yield from problems(data, project(self.review.name), beside, self.base)

    def addresses(self, data: Mapping[str, Any]) -> None:
        """Raise Refused when a variable holds the address of one of the base app's services."""
        ours = [e for e in self.specs if (e.get("Labels") or {}).get(NAMESPACE) == self.base]
        guard_base(self.ctx, data, [addresses(_environment(spec)) for spec in ours])


def neighbours(
    lines: Sequence[str], specs: list[Mapping[str, Any]]
) -> tuple[list[Other], set[tuple[str, str]]]:
    """Parse the output of `neighbours.sh`: other services in the swarm and containers on the
    manager, and their routes. The specifications of services are added to `specs`."""
    others: list[Other] = []
    known: set[tuple[str, str]] = set()
    networks: dict[str, str] = {}
    for line in lines:
        kind, _, rest = line.partition(" ")
        take(line, others, known)
        if kind == "network":
            number, _, name = rest.partition(" ")
            networks[number] = name
        elif kind == "service":
            with suppress(ValueError):
                specs.append(from_json(rest))
    for spec in specs:
        container = _container(spec)
        labels, name = spec.get("Labels") or {}, str(spec.get("Name"))
        owner = labels.get(NAMESPACE, "")
        targets = (spec.get("TaskTemplate") or {}).get("Networks") or spec.get("Networks") or ()
        ports = (spec.get("EndpointSpec") or {}).get("Ports") or ()
        others.append(
            Other(
                name, owner, str(container.get("Image") or ""),
                frozenset(networks.get(each.get("Target"), "") for each in targets),
                ",".join(f"{each.get('TargetPort')}/{each.get('Protocol')}" for each in ports),
                frozenset(str(each.get("Source")) for each in container.get("Mounts") or ()),
                frozenset(str(each.get("SecretName")) for each in container.get("Secrets") or ()),
            )
        )  # fmt: skip
        every = {**(container.get("Labels") or {}), **labels}
        known |= {(owner, route) for _, route in routes(every)}
    return others, known


def _container(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (spec.get("TaskTemplate") or {}).get("ContainerSpec") or {}
    return found


def _environment(spec: Mapping[str, Any]) -> dict[str, str]:
    pairs = (each.partition("=") for each in _container(spec).get("Env") or ())
    return {key: value for key, _, value in pairs}


def check_name(review: ReviewApp) -> None:
    """Raise SettingsError for a review app whose stack's name would be longer than LONGEST."""
    if len(project(review.name)) > LONGEST:
        reason = f"{review.name} is longer than {LONGEST} characters, too long for a stack."
        raise SettingsError(Problem("REVIEW_APP_NAME", reason, "", "Give it a shorter one."))


def warn_of_volumes(ctx: Context, manager: Manager, stack: Stack, data: Mapping[str, Any]) -> None:
    """Warn if volumes may be on nodes that are not in SERVER_HOST, where they cannot be removed."""
    own = [key for key, each in (data.get("volumes") or {}).items() if not each.get("external")]
    if own and len(stack.nodes) > len(manager.all):
        ctx.console.warning(
            f"`destroy` removes volumes ({', '.join(own)}) only on the nodes that "
            f"SERVER_HOST names: {len(manager.all)} of {len(stack.nodes)}. Add the other "
            "nodes after the managers."
        )


# --- the end ---


def destroy(ctx: Context, manager: Manager) -> None:
    """Remove the review app from the swarm, and its volumes from the nodes of SERVER_HOST, each of
    which checks that nothing is left. Raises Locked, DeployFailed, OutcomeUnknown."""
    review = ctx.reviewed
    stack = manager.look()
    where = ", ".join(map(str, manager.all))
    parts = "services, networks, configs, secrets"
    what = f"remove {review.name} from the swarm: {parts}; its volumes on {where}"
    with manager.alone(f"removal of {review.name}"):
        done = manager.change(
            ["remove"], [str(REMOVING)], what, quiet=False, timeout=3.0 * REMOVING
        )
        if done.planned:
            return
        _need(review.name, manager, done)
        seen = [_volumes(review.name, manager, server) for server in manager.all]
        done = manager.change(["forget"], [mark_name(stack.name)], "", quiet=False)
        _need(review.name, manager, done)
    ctx.console.indent(f"nothing of {review.name} is left in the swarm, no volume of it on {where}")
    if unseen := sorted(name for number, name in stack.nodes.items() if number not in seen):
        ctx.console.warning(
            f"volumes of {review.name} may be left on {', '.join(unseen)}, which SERVER_HOST does "
            f"not name. There: docker volume ls --filter label={NAMESPACE}={stack.name}"
        )


def _volumes(name: str, manager: Manager, server: Server) -> str:
    """Remove the volumes on one node of SERVER_HOST; returns the node's id. Raises DeployFailed."""
    try:
        node = manager.at(server)
        done = node.change(["volumes"], [str(REMOVING)], "", quiet=False, timeout=600.0)
    except DeployError as error:
        message = f"{name} is removed, except its volumes on {server}: {error.message}"
        raise DeployFailed(message, hint=LEFT) from error
    _need(name, node, done)
    found = (line.removeprefix("node ") for line in done.lines if line.startswith("node "))
    return next(found, "")


LEFT = "What is left is removed by the next `ci-deploy destroy`."


def _need(name: str, manager: Manager, done: Result) -> None:
    if done.exit_code:
        said = done.lines[-1] if done.lines else "no reason given"
        message = f"{name} could not be removed from {manager}: {said}"
        raise DeployFailed(message, hint=LEFT, lines=done.lines, shown=True)
