"""Files of the repository that the compose files name, at the deployed revision.

Files that Compose itself reads (`env_file`, `include`, `extends`) are needed to understand the
compose files, and are put where Compose looks for them. A file for a container (bind mount,
`configs`, `secrets`) becomes a copy under the hash of its content, so that each release has its
own. A directory that the host shares with its containers stays the host's: files in it are updated.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ci_deploy.errors import Problem, SettingsError
from ci_deploy.layers.providers.compose.facts import HostFacts
from ci_deploy.layers.providers.compose.hosts import Host
from ci_deploy.layers.providers.docker.model import read_json
from ci_deploy.layers.providers.docker.release import Program
from ci_deploy.layers.providers.docker.tree import Tree

PLACEHOLDERS = {".gitkeep", ".keep", ".gitignore", ".gitattributes"}
KINDS = ("configs", "secrets")
LIMIT = 50_000_000  # bytes of all files together
FILE_LIKE = re.compile(r"\.(?!d$)[A-Za-z][A-Za-z0-9]{0,9}$")


class Brought(NamedTuple):
    """The files of the repository that a release brings to the hosts; made by `bring`."""

    parts: Mapping[str, bytes]  # files of the release: path → bytes
    names: Sequence[str] = ()  # their paths in the repository; a directory's ends with a slash
    said: Sequence[str] = ()  # sentences for `plan`: what else happens on the hosts


class _Bringing:
    """Collects the files to bring, and the problems of files that are missing."""

    def __init__(self, tree: Tree, hosts: Sequence[Host]) -> None:
        self.tree, self.hosts = tree, hosts
        self.path = hosts[0].facts.path.rstrip("/")
        self.prefix = f"./.ci-deploy/apps/{tree.ctx.app}/content/"
        self.parts: dict[str, bytes] = {}
        self.contents: set[str] = set()
        self.places: set[str] = set()
        self.marks: dict[str, list[str]] = {}
        self.names: dict[str, None] = {}
        self.said: dict[str, None] = {}
        self.problems: dict[str, Problem] = {}

    def named(self, source: str) -> str:
        """The path in the repository that a path on the hosts means; empty for none. Above
        DEPLOY_PATH, only what the files write as `../x` and the repository has: another path
        is the host's own."""
        name = posixpath.relpath(source, self.path or "/") if source.startswith("/") else ""
        if not above(name):
            return name
        written = re.compile(rf"(?<![\w./-]){re.escape(name)}(?![\w.-])".encode())
        texts = (*self.tree.texts, *self.tree.reads.values())
        known = name.strip("./") and any(map(written.search, texts))
        return name if known and (self.tree.has(name) or self.tree.under(name)) else ""

    def mount(self, service: str, volume: Mapping[str, Any]) -> dict[str, Any] | None:
        """What a bind mount is replaced by; None when it stays as it is."""
        source, target = str(volume.get("source")), str(volume.get("target"))
        name, fixed = self.named(source), bool(volume.get("read_only"))
        if name == ".env":  # the user's, or made from APP_CONFIG
            return None
        if name and self.tree.has(name):
            if fixed or self.tree.made(name) or not _is_data(self.tree.content(name)):
                return {**volume, "source": self.file(name)}
            self.share(service, posixpath.dirname(name), [posixpath.basename(name)])
            return None
        if name == ".":
            message = f"{service} mounts DEPLOY_PATH itself: a deployment does not update the files"
            message += " in it. Put them into an image, or mount directories of it, like `./src`."
            self.tree.ctx.console.warning(message)
            return None
        below = self.tree.under(name) if name else {}
        if modules := self.tree.submodules(name) if name else []:
            message = f"{service} mounts the submodule {modules[0]}: its files are not copied to "
            self.tree.ctx.console.warning(f"{message}the hosts. Put them into an image.")
        if {posixpath.basename(each) for each in below} - PLACEHOLDERS:
            if fixed and not self._own(name, below):
                return {**volume, "source": self.directory(name, below)}
            self.share(service, name, list(below))
        else:
            looks = FILE_LIKE.search(source) and FILE_LIKE.search(target)
            self.need(f"{service} mounts", source, name, missing=bool(looks))
        return None

    def share(self, service: str, name: str, below: Sequence[str]) -> None:
        """Update files in a directory of the hosts, where that is possible."""
        remedy = "Mount it with `:ro`, so that the release brings its own copy."
        if above(name):
            reason = "is above DEPLOY_PATH"
        elif locked := [h for h in self.hosts if self._there(h, name) == "r"]:
            reason = f"the SSH user may not write to on {', '.join(map(str, locked))}"
            remedy = "Make it writable for that user."
        else:
            return self.place(service, name, below)
        message = f"{service} mounts {name or 'DEPLOY_PATH'}, which {reason}, so the repository's "
        self.tree.ctx.console.warning(f"{message}files are not copied there. {remedy}")
        return None

    def file(self, name: str) -> str:
        """Bring a file as a separate copy; returns its path on the hosts."""
        data = self.tree.content(name)
        digest = _digest({"": data})
        self.parts[f"content/{digest}"] = data
        self._bring(name, digest)
        return f"{self.prefix}{digest}"

    def directory(self, name: str, below: Iterable[str]) -> str:
        """Bring a directory as a copy, which nobody writes to; the hosts have no own files in
        it."""
        data = self.tree.contents(f"{name}/{each}" for each in sorted(below))
        files = {at.removeprefix(f"{name}/"): content for at, content in data.items()}
        digest = _digest(files)
        self.parts |= {f"content/{digest}/{each}": data for each, data in files.items()}
        self._bring(f"{name}/", digest)
        return f"{self.prefix}{digest}"

    def _bring(self, name: str, digest: str) -> None:
        self.contents.add(digest)
        self.names[name] = None
        for host in self.hosts:
            if self._there(host, name.rstrip("/")) not in {"", "-"}:
                at = f"{host.facts.path}/{name}"
                self.said[f"{at} on {host} is not used: the release has its own copy."] = None

    @staticmethod
    def _there(host: Host, name: str) -> str:
        return host.facts.there.get(posixpath.normpath(f"{host.facts.path}/{name}"), "")

    def place(self, service: str, name: str, below: Iterable[str]) -> None:
        """Bring files of a directory that also contains the host's own: they are updated in it."""
        files = {posixpath.normpath(posixpath.join(name, each)): each for each in sorted(below)}
        data = self.tree.contents(files)
        self.parts |= {f"place/{at}": content for at, content in data.items()}
        self.places |= set(files)
        marked = {files[at]: content for at, content in data.items()}
        self.marks.setdefault(service, []).append(_digest(marked))
        self.names |= dict.fromkeys([f"{name}/"] if len(files) > 1 else files)
        for host in self.hosts:
            if self._own(name, below):
                at = f"{host.facts.path}/{name}"
                self.said[f"{at} on {host} has other files too, which are kept."] = None

    def _own(self, name: str, below: Iterable[str]) -> bool:
        """Whether a host has files in a directory that the repository does not have."""
        known = set(below)
        return any(
            at.removeprefix(start) not in known
            for host in self.hosts
            for start in (f"{host.facts.path}/{name}/",)
            for at in host.facts.own
            if at.startswith(start)
        )

    def need(self, who: str, source: str, name: str, *, missing: bool) -> None:
        """Check that a file which the repository does not have is on the hosts."""
        for host in self.hosts:
            at = posixpath.normpath(f"{host.facts.path}/{name}") if name else source
            if host.facts.there.get(at) != "-":
                continue
            if not missing:
                self.said[
                    f"{who} {at}, which does not exist on {host}: Docker creates an empty "
                    "directory there. If it should be a file, create the file first."
                ] = None
                continue
            where = f"in the repository at {self.tree.ctx.revision[:7]} nor " if name else ""
            which = "which is neither " if where else "which is not "
            reason = f"{who} `{name or source}`, {which}{where}on {host}."
            remedy = f"{'Commit it, or put' if name else 'Put'} it on the host as {at}."
            self.problems[at] = Problem("COMPOSE_FILE", reason, "", remedy)


def bring(tree: Tree, hosts: Sequence[Host]) -> Brought:
    """The files that the release brings, by Compose's reading of the compose files on the first
    host. Warns of mounted files that cannot be copied. Raises SettingsError for a file that is
    neither in the repository nor on every host, and when all are larger than LIMIT together."""
    facts: HostFacts = hosts[0].facts
    data, made = read_json(facts.model), _Bringing(tree, hosts)
    laid: dict[str, dict[str, Any]] = {"services": {}, "configs": {}, "secrets": {}}
    used: set[tuple[str, str]] = set()
    for service, entry in (data.get("services") or {}).items():
        used |= {(k, str(e.get("source"))) for k in KINDS for e in (entry or {}).get(k) or ()}
        volumes = [v for v in (entry or {}).get("volumes") or () if v.get("type") == "bind"]
        if changed := [new for each in volumes if (new := made.mount(service, each))]:
            laid["services"][service] = {"volumes": changed}
    for kind in KINDS:
        for key, entry in (data.get(kind) or {}).items():
            source = str((entry or {}).get("file") or "")
            if not source or (kind, key) not in used:
                continue
            name = made.named(source)
            if tree.has(name):
                laid[kind][key] = {"file": made.file(name)}
            else:
                made.need(f"{kind}: {key} is", source, name, missing=True)
    if made.problems:
        raise SettingsError(*made.problems.values())
    if (size := sum(map(len, made.parts.values()))) > LIMIT:
        reason = (
            f"it names files of the repository that total {size / 1e6:.1f} MB; at most "
            f"{LIMIT / 1e6:.1f} MB can be sent to the hosts."
        )
        raise SettingsError(Problem("COMPOSE_FILE", reason, "", "Put them into an image."))
    texts = {
        "content.json": json.dumps({key: value for key, value in laid.items() if value}),
        "contents": "".join(f"{each}\n" for each in sorted(made.contents)),
        "places": "".join(f"{each}\n" for each in sorted(made.places)),
        "marks": "".join(f"{name} {' '.join(sums)}\n" for name, sums in made.marks.items()),
    }
    parts = {name: text.encode() for name, text in texts.items() if text not in {"", "{}"}}
    return Brought(
        {**tree.parts, **made.parts, **parts}, [*tree.reads, *made.names], list(made.said)
    )


def _is_data(content: bytes) -> bool:
    """Whether a file that a container may write to is filled by it: empty in the repository (a
    proxy's certificates), or a database. Such a file belongs to the host, like a directory."""
    return not content.strip() or b"\0" in content


def above(name: str) -> bool:
    """Whether a path relative to DEPLOY_PATH leads out of it: it begins with `..`."""
    return name.split("/")[0] == ".."


def _digest(files: Mapping[str, bytes]) -> str:
    found = hashlib.sha256()
    for name, data in files.items():
        kind = "x" if isinstance(data, Program) else "-"
        found.update(f"{name}\0{kind}\0{len(data)}\0".encode() + data)
    return found.hexdigest()[:24]
