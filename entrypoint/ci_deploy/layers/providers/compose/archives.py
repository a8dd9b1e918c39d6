"""DEPLOY_IMAGE_ARCHIVE: images come from files of an earlier job, without a registry."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ci_deploy.errors import DeployFailed, OutcomeUnknown, Problem, SettingsError
from ci_deploy.layers.providers.compose.archive_members import BadArchive
from ci_deploy.layers.providers.compose.archive_stream import missing, stream
from ci_deploy.layers.providers.compose.hosts import Host, Hosts
from ci_deploy.layers.providers.compose.image_archive import (
    REMEDY,
    Archive,
    Image,
    Layer,
    full_name,
    short_name,
)
from ci_deploy.layers.providers.compose.images import Images
from ci_deploy.layers.providers.docker.model import Model
from ci_deploy.run.context import Context
from ci_deploy.settings.parsers import NOTHING

SETTING = "DEPLOY_IMAGE_ARCHIVE"
TAG = 110  # characters of a tag that are kept, of at most 128
MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm", "i686": "386"}


class Store(NamedTuple):
    """A host's platform, free space and images: its answer to `store`."""

    platform: str = ""
    free: int = 0  # MB on the engine's disk; 0: unknown
    chains: frozenset[tuple[str, ...]] = frozenset()  # of layers, from the lowest up to each one
    names: Mapping[str, str] = NOTHING  # name → id


class Sending(NamedTuple):
    """The images and layers to send to one host."""

    images: Mapping[str, Image]  # by their names on the host
    layers: Sequence[Layer]

    @property
    def size(self) -> int:
        """The size in bytes, before compression."""
        return sum(layer.span.size for layer in self.layers)


class Archives(Images):
    """The images in the files of DEPLOY_IMAGE_ARCHIVE (`paths`): chooses each service's image, and
    sends every host the layers that it lacks."""

    def __init__(self, ctx: Context, paths: Sequence[str], hosts: Hosts) -> None:
        self._ctx = ctx
        self._paths = paths
        self._hosts = hosts
        self._images: list[Image] = []
        self._services: dict[str, str] = {}  # service → the full name of its image
        self._sending: dict[str, Sending] = {}

    def problems(self) -> Iterator[Problem]:
        """Read the archives; yields a problem for each that cannot be read or names no image."""
        for path in self._paths:
            try:
                found = Archive(Path(path)).images()
            except BadArchive as error:
                yield Problem(SETTING, f"{path}: {error}")
                continue
            self._images += found
            if not any(image.names for image in found):
                yield Problem(SETTING, f"{path}: none of its images has a name.", "", REMEDY)

    def assign(self, model: Model) -> None:
        there = {name for image in self._images for name in image.names}
        wanted = {each.name: full_name(each.image) for each in model.services.values()}
        ours = {each.name for each in model.ours}
        listed = ", ".join(sorted(map(short_name, there)))
        problems: list[Problem] = []
        for name, image in wanted.items():
            if name in ours and image in there:
                self._services[name] = image
                problems += _incomplete(image, self._images)
            elif name in ours and not model.mutable:
                reason = (
                    f"{name} needs {short_name(image)}, but the archive contains "
                    f"{listed or 'no image'}."
                )
                remedy = "Save it under the name that the compose file gives it, or set DEPLOY_TAG."
                problems.append(Problem(SETTING, reason, "", remedy))
            elif image in there:
                why = "the compose file does not name it with ${DEPLOY_TAG}"
                if model.mutable:
                    why = f"it has `pull_policy: {model.services[name].policy}`"
                reason = f"{short_name(image)}, the image of {name}, is not replaced on the hosts, "
                remedy = "Leave it out of the archive, or change that in the compose file."
                problems.append(Problem(SETTING, f"{reason}since {why}.", "", remedy))
        used = set(self._services.values()) | {wanted[name] for name in wanted}
        problems += [
            Problem(
                SETTING,
                f"no service uses the image {short_name(name)} in the archive.",
                remedy="Leave it out, or name it in the compose file.",
            )
            for name in sorted(there - used)
            if not problems
        ]
        if problems:
            raise SettingsError(*problems)

    @property
    def covers(self) -> bool:
        return bool(self._services)

    def parts(self) -> dict[str, bytes]:
        """For the hosts, a line for each service: `NAME IMAGE ID…`; a host has one of the ids."""
        lines = []
        for service, name in self._services.items():
            known = self._platforms(name)
            ids = [each for image in known for each in (image.id, image.manifest_id)]
            lines.append(" ".join((service, self._new_name(name), *ids)))
        return {"loaded": "".join(f"{line}\n" for line in lines).encode()} if lines else {}

    def _platforms(self, name: str) -> list[Image]:
        """The images with this name, one per platform, that are complete."""
        return [image for image in self._images if name in image.names and not image.lacks]

    def _new_name(self, name: str) -> str:
        """The image's name on the hosts, with a digest, so that no other image ever gets it."""
        repository, _, tag = name.rpartition(":")
        ids = sorted(image.id[7:] for image in self._platforms(name))
        digest = ids[0] if len(ids) == 1 else hashlib.sha256("".join(ids).encode()).hexdigest()
        return short_name(f"{repository}:{tag[:TAG]}-{digest[:12]}")

    # --- the hosts ---

    def look(self) -> None:
        problems: list[Problem] = []
        full: list[str] = []
        for host in self._hosts.all if self.covers else ():
            store = read_store(self._hosts.ask(host, ["store"]))
            images: dict[str, Image] = {}
            for name in dict.fromkeys(self._services.values()):
                known = self._platforms(name)
                image = next((e for e in known if e.platform == store.platform), None)
                if image is None:
                    has = ", ".join(sorted({each.platform for each in known}))
                    reason = f"{short_name(name)} is for {has}, but {host} is {store.platform}."
                    remedy = f"Build it with `--platform {store.platform}`."
                    problems.append(Problem(SETTING, reason, "", remedy))
                elif store.names.get(new := self._new_name(name)) not in {
                    image.id, image.manifest_id,
                }:  # fmt: skip
                    images[new] = image
            sending = Sending(images, missing(list(images.values()), store.chains))
            self._sending[str(host)] = sending
            self._ctx.console.indent(self._what(host, sending))
            needs = 2 * sending.size // 1_000_000  # the archive and the unpacked layers
            if sending.images and store.free and store.free < needs:
                full.append(
                    f"{store.free} MB are free for images on {host}, and {needs} MB are needed"
                )
        if problems:
            raise SettingsError(*problems)
        if full:
            message = f"{'; '.join(full)}."
            raise DeployFailed(
                message, hint="Free some space: `docker system df` on the host shows what uses it."
            )

    def _what(self, host: Host, sending: Sending) -> str:
        if not sending.images:
            return f"{host} already has the images"
        whole = _whole(sending)
        return (
            f"{host} lacks {len(sending.layers)} of {len(whole.layers)} layers: "
            f"{sending.size / 1e6:.1f} of {whole.size / 1e6:.1f} MB are sent to it"
        )

    def send(self) -> None:
        hosts = [host for host in self._hosts.all if self._sending[str(host)].images]
        if not hosts:
            return
        if not self._ctx.planning:
            self._hosts.change(hosts, ["true"], lambda _host: "")  # uploads our program
        refused = self._load(hosts, self._sending)
        if any(self._partial(host) for host, _ in refused):
            reasons = "; ".join(f"{host}: {said}" for host, said in refused)
            self._ctx.console.warning(
                "the missing layers alone could not be loaded, so all layers of the images are "
                f"sent ({reasons})."
            )
            again = {str(host): _whole(self._sending[str(host)]) for host, _ in refused}
            refused = self._load([host for host, _ in refused], again)
        if refused:
            reasons = "; ".join(f"{host}: {said}" for host, said in refused)
            raise DeployFailed(
                f"the images could not be loaded ({reasons}). No container was touched."
            )

    def _partial(self, host: Host) -> bool:
        sending = self._sending[str(host)]
        return len(sending.layers) < len(_whole(sending).layers)

    def _load(
        self, hosts: Sequence[Host], sending: Mapping[str, Sending]
    ) -> list[tuple[Host, str]]:
        """Send and load the images; returns the hosts that refused, each with the reason."""
        review, planning = self._ctx.review, self._ctx.planning
        mark = [review.base, review.branch] if review else ["-", "-"]
        stdin: dict[str, bytes | int] = {}
        words: dict[str, list[str]] = {}
        for host in hosts:
            images, layers = sending[str(host)]
            stdin[str(host)] = b"" if planning else stream(images, layers)
            words[str(host)] = [f"{n},{i.id},{i.manifest_id}" for n, i in images.items()]
        counted = {str(host): _layers(len(sending[str(host)].layers)) for host in hosts}
        try:
            results = self._hosts.change(
                hosts,
                lambda host: ["load_images", self._ctx.app, *mark, *words[str(host)]],
                lambda host: f"send {counted[str(host)]} to {host} and load the image",
                stdin,
                timeout=float("inf"),
            )
        except OutcomeUnknown as error:
            message = "the images were not sent in time (DEPLOY_TIMEOUT). No container was touched."
            raise DeployFailed(message, hint="Raise DEPLOY_TIMEOUT.", lines=error.lines) from None
        return [
            (host, result.lines[-1] if result.lines else "no reason given")
            for host, result in zip(hosts, results, strict=True)
            if result.exit_code
        ]


def _incomplete(name: str, images: Sequence[Image]) -> Iterator[Problem]:
    named = [image for image in images if name in image.names]
    if all(image.lacks for image in named):
        reason = f"the archive lacks {named[0].lacks} of {short_name(name)}."
        yield Problem(SETTING, reason, "", REMEDY)


def _layers(count: int) -> str:
    return f"{count} layer{'' if count == 1 else 's'}"


def _whole(sending: Sending) -> Sending:
    images = sending.images
    return Sending(images, missing(list(images.values()), frozenset()))


def read_store(text: str) -> Store:
    """Parse a host's answer to `store`: its platform, free megabytes, layers and images."""
    platform, free = "", 0
    chains: set[tuple[str, ...]] = set()
    names: dict[str, str] = {}
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "engine":
            where, _, megabytes = rest.partition(" ")
            system, _, machine = where.partition("/")
            platform, free = (
                f"{system}/{MACHINES.get(machine, machine)}",
                int(megabytes) if megabytes.isdecimal() else 0,
            )
        elif kind == "image":
            known, _, layers = rest.partition("|")
            sum_, *tags = known.split()
            diffs = layers.split()
            names.update(dict.fromkeys(tags, sum_))
            chains.update(tuple(diffs[:count]) for count in range(1, len(diffs) + 1))
    return Store(platform, free, frozenset(chains), names)
