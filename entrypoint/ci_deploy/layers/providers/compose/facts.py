"""The facts that a host reports about itself and the app: the answers of `probe` and `status`."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ci_deploy.layers.providers.docker.model import Description, read_description
from ci_deploy.layers.providers.docker.review import Known as KnownReview
from ci_deploy.layers.providers.docker.sharing import Other, take
from ci_deploy.run.tasks import Key, Task, in_words
from ci_deploy.settings.lines import from_json
from ci_deploy.state import Live

# One-line facts that are stored unchanged.
WORDS = {
    "path", "compose", "standalone", "env", "known_env", "current", "pending", "restoring", "note",
}  # fmt: skip


class Container(NamedTuple):
    """A container of some Compose project on the host."""

    name: str
    service: str
    image: str  # id
    state: str
    status: str  # in words, like `Up 2 minutes (healthy)`
    one_off: bool
    project: str
    folder: str  # the directory of its Compose project
    files: str = ""  # the compose files that it was started with
    review: str = ""  # the base app in its label, if it belongs to a review app

    @property
    def up(self) -> bool:
        """Whether it runs, and its healthcheck, if it has one, says that it is healthy."""
        return (
            self.state == "running" and "(un" not in self.status and "starting" not in self.status
        )

    @property
    def done(self) -> bool:
        """Whether it has exited with 0."""
        return self.state == "exited" and "(0)" in self.status


class Image(NamedTuple):
    """A service of the live release: its image, and how many containers of it are wanted."""

    service: str
    image: str
    replicas: int
    id: str
    pinned: str = ""  # its name with the digest; `-`: it has none


class Known(NamedTuple):
    """A release that the host keeps. `live`: when it was verified last (Unix time; 0: never, or
    rejected since); `facts`: its release.json."""

    id: str
    live: int
    facts: Mapping[str, str]

    @property
    def revision(self) -> str:
        """The full SHA of its code."""
        return self.facts.get("revision", "")


@dataclass
class HostFacts(Description):
    """One host's answer to `probe` or `status`; made by `read_facts`. For a host to which the app
    was never deployed, most fields are empty."""

    path: str = ""  # of DEPLOY_PATH, or of the review app's directory
    docker: bool = False  # whether it has the program `docker`
    compose: str = ""  # version of the plugin
    standalone: str = ""  # version of a separate `docker-compose`
    missing: list[str] = field(default_factory=list)  # programs
    kills: bool = False  # logind ends all processes when we log out
    engine: list[str] = field(default_factory=list)  # the engine's error
    refused: list[str] = field(default_factory=list)  # Compose's error about the files
    here: set[str] = field(default_factory=set)  # names of DEPLOY_PATH in containers' labels
    there: dict[str, str] = field(
        default_factory=dict
    )  # path of a mount → `f`, `d`, `r` (`d`, not writable for us), `-`
    own: set[str] = field(default_factory=set)  # files in such directories
    networks: set[str] = field(default_factory=set)  # only if the files name external ones
    volumes: set[str] = field(default_factory=set)
    # id of a running image → the volumes that it declares; only for start-first
    image_volumes: dict[str, list[str]] = field(default_factory=dict)
    env: str = ""  # hash of the user's .env now
    known_env: str = ""  # its hash at the live release
    current: str = ""  # the id of the live release
    pending: str = ""  # release and run of a switch that was not finished
    restoring: str = ""  # the dump of a restore that was not finished
    holder: str = ""  # who holds the lock, in words
    note: str = ""  # the pending tasks, as JSON
    unreported: str = ""  # the result of the last run, if it was never reported to a job
    apps: dict[str, str] = field(default_factory=dict)  # app → its project
    images: list[Image] = field(default_factory=list)  # of the live release
    done: set[str] = field(default_factory=set)  # its services that had ended when it was verified
    may_end: set[str] = field(default_factory=set)  # its services that may end later
    containers: list[Container] = field(default_factory=list)
    # only for review apps
    top: list[str] = field(default_factory=list)  # DEPLOY_PATH, in both its names
    mark: str | None = None  # of the review app's directory; None: it does not exist
    reviews: list[KnownReview] = field(default_factory=list)
    others: list[Other] = field(default_factory=list)
    routes: set[tuple[str, str]] = field(default_factory=set)  # project, name unique in a proxy
    addresses: dict[str, str] = field(default_factory=dict)  # of the base app's services
    releases: dict[str, Known] = field(default_factory=dict)
    audit: list[dict[str, Any]] = field(default_factory=list)

    def revision(self, release: str) -> str:
        """The full SHA of a release (its id); empty when the host does not keep that release."""
        return self.releases[release].revision if release in self.releases else ""

    @property
    def owed(self) -> tuple[Task, ...]:
        """The tasks that the host's program has recorded itself: to finish a restore that was
        interrupted. Empty while something holds the lock, which may be that restore."""
        left = self.restoring and not self.holder
        return (Task(Key.RESTORE, dump=self.restoring),) if left else ()

    def live(self, app: str) -> Live:
        """What runs on this host, compared with what the live release should run. Not up while a
        switch or a restore is unfinished; busy while something holds the lock."""
        project = self.apps.get(app, "")
        ours = [each for each in self.containers if each.project == project and not each.one_off]
        down, wanted = [], 0
        for image in self.images:
            if image.service in self.done:
                continue
            mine = [e for e in ours if e.service == image.service and e.image == image.id]
            may_end = image.service in self.may_end
            good = [each for each in mine if each.up or (may_end and each.done)]
            wanted += image.replicas
            down += [image.service] * (image.replicas - len(good))
        detail = f"{wanted - len(down)} of {wanted} containers up"
        if down:
            detail += f" (down: {', '.join(dict.fromkeys(down))})"
        if self.pending and not self.holder:
            detail += f"; {self.pending.split()[0]} was left unfinished"
        if self.owed:
            detail += f"; unfinished: {in_words(self.owed)}"
        up = bool(self.current) and not (down or self.pending or self.restoring)
        return Live(
            self.revision(self.current), up, self.current, detail=detail, busy=bool(self.holder)
        )


def read_facts(text: str) -> HostFacts:
    """Parse a host's answer to `probe` or `status`; unknown lines are ignored."""
    head, found = read_description(text)
    facts = HostFacts(**vars(found))
    for line in head.splitlines():
        key, _, value = line.partition(" ")
        with contextlib.suppress(ValueError, IndexError, KeyError, TypeError):
            _take(facts, key, value)
    return facts


def _take(facts: HostFacts, key: str, value: str) -> None:
    if key in WORDS:
        setattr(facts, key, value)
    elif key in {"holder", "unreported"}:
        setattr(facts, key, value or "somebody")
    elif key == "mark":
        facts.mark = value
    elif key == "review":
        facts.reviews.append(review_dir(value))
    elif key in {"other", "route"}:
        take(f"{key} {value}", facts.others, facts.routes)
    elif key == "address":
        name, _, address = value.partition("=")
        facts.addresses[f"{name} {len(facts.addresses)}"] = address
    elif key in {"missing", "engine", "refused", "top"}:
        getattr(facts, key).append(value)
    elif key == "there":
        kind, _, path = value.partition(" ")
        facts.there[path] = kind
    elif key in {"here", "own", "network", "volume"}:
        getattr(facts, key if key in {"here", "own"} else f"{key}s").add(value)
    elif key == "image_volume":
        image, _, path = value.partition(" ")
        facts.image_volumes.setdefault(image, []).append(path)
    elif key in {"docker", "kills"}:
        setattr(facts, key, True)
    elif key == "app":
        name, project = value.split()
        facts.apps[name] = project
    elif key == "image":
        service, image, replicas, digest, *pinned = value.split()
        facts.images.append(Image(service, image, int(replicas), digest, *pinned[:1]))
    elif key == "task":
        service, _, done = value.partition(" ")
        (facts.done if done else facts.may_end).add(service)
    elif key == "container":
        name, service, image, state, status, one_off, *rest = value.split("|")
        facts.containers.append(
            Container(name, service, image, state, status, one_off == "True", *rest)
        )
    elif key == "release":
        live, _, text = value.partition(" ")
        found = from_json(text)
        facts.releases[found["id"]] = Known(found["id"], int(live), found)
    elif key == "audit":
        facts.audit.append(from_json(value))


def review_dir(line: str) -> KnownReview:
    """Parse a line of a host's list of review apps, `NAME SECONDS BASE [BRANCH]`. Raises
    ValueError."""
    name, age, base, *branch = line.split(" ", 3)
    return KnownReview(name, int(age), base, *branch or [""])
