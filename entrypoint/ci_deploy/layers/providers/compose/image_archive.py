"""Parses archives of images, as `docker save`, buildx, skopeo, kaniko and jib write them."""

from __future__ import annotations

import hashlib
import json
import lzma
import posixpath
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from ci_deploy.layers.providers.compose.archive_members import (
    BadArchive,
    Members,
    Span,
    open_archive,
)
from ci_deploy.settings.lines import from_json

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
NAME = re.compile(r"[a-z0-9][\w.:/-]*", re.ASCII)
PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9_]+")
DEPTH = 3  # levels of nested indexes
OCI = "application/vnd.oci.image."
REMEDY = "Write it with `docker save --output image.tar NAME:TAG`."
BROKEN = (
    OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, tarfile.TarError,
    zlib.error, lzma.LZMAError, RecursionError,
)  # fmt: skip


class Layer(NamedTuple):
    """A layer; `diff_id` is the digest of its unpacked content, `digest` that of the bytes here."""

    diff_id: str
    digest: str
    kind: str  # the media type
    span: Span


class Image(NamedTuple):
    """An image for one platform, as an archive contains it; made by `Archive.images`."""

    names: tuple[str, ...]  # full names, like docker.io/library/redis:7
    platform: str  # like linux/amd64
    config: bytes
    manifest: bytes  # the archive's, or generated
    layers: tuple[Layer, ...]
    lacks: str = ""  # the part that is missing in the archive

    @property
    def id(self) -> str:
        """Its id in an engine that keeps layers (overlay2)."""
        return digest_of(self.config)

    @property
    def manifest_id(self) -> str:
        """Its id in an engine that keeps blobs (the containerd image store)."""
        return digest_of(self.manifest)


def digest_of(data: bytes) -> str:
    """The digest of these bytes, as in a registry: `sha256:…`."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def full_name(name: str) -> str:
    """An image's name with its registry and namespace (`docker.io/library/redis:7`), and with
    `:latest` if it has neither a tag nor a digest."""
    first, slash, _ = name.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost"):
        name = f"docker.io/{name if slash else f'library/{name}'}"
    name = re.sub(r"^(index\.docker\.io|registry-1\.docker\.io)/", "docker.io/", name)
    return name if ":" in name.rpartition("/")[2] or "@" in name else f"{name}:latest"


def short_name(name: str) -> str:
    """An image's name without `docker.io/` and `library/`, as people write it."""
    return name.removeprefix("docker.io/").removeprefix("library/")


class Archive:
    """A file with images, compressed or not: an OCI layout, or what `docker save` writes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def images(self) -> list[Image]:
        """All images in it, each platform separately, also those without a name or with missing
        layers. Raises BadArchive for a file that cannot be read or contains something else."""
        if self._path.is_dir():
            message = (
                f"it is a directory: `tar -C {self._path} -cf image.tar .` makes an archive of it."
            )
            raise BadArchive(message)
        try:
            with closing(open_archive(self._path)) as file:
                self._members = Members(self._path, file)
                return self._read()
        except FileNotFoundError:
            message = "there is no such file: was the artifact of the previous job downloaded?"
            raise BadArchive(message) from None
        except BROKEN as error:
            message = f"it cannot be read ({error or type(error).__name__}): is it complete?"
            raise BadArchive(message) from None

    def _read(self) -> list[Image]:
        if self._members.find("oci-layout") and self._members.find("index.json"):
            found = list(self._of_index(self._members.json("index.json"), (), 0))
            # (Docker 25.0 wrote manifests there without any layers.)
            if found and all(image.layers and image.names for image in found):
                return found
        if self._members.find("manifest.json"):
            return list(self._of_docker())
        if self._members.find("index.json"):
            return list(self._of_index(self._members.json("index.json"), (), 0))
        message = (
            "it has neither `manifest.json` nor `index.json`, so it is not an image "
            "archive (`docker export` does not write one)."
        )
        raise BadArchive(message)

    # --- an OCI layout ---

    def _of_index(
        self, index: Mapping[str, Any], names: tuple[str, ...], depth: int
    ) -> Iterator[Image]:
        for entry in index["manifests"]:
            kind, platform = str(entry.get("mediaType", "")), entry.get("platform") or {}
            if platform.get("os") == "unknown":  # an attestation
                continue
            mine = tuple(_named(entry.get("annotations") or {})) or names
            name = blob(entry["digest"])
            if depth and not self._members.find(name):  # saved without this platform
                continue
            data = self._members.content(name)
            if digest_of(data) != entry["digest"]:
                message = f"its blob {entry['digest'][:19]} does not have that digest."
                raise BadArchive(message)
            found = from_json(data)
            if "manifests" in found or "index" in kind or "list" in kind:
                if depth < DEPTH:
                    yield from self._of_index(found, mine, depth + 1)
            elif "config" in found:
                yield self._of_manifest(found, data, mine)

    def _of_manifest(self, found: Mapping[str, Any], data: bytes, names: tuple[str, ...]) -> Image:
        layers = [
            (each["digest"], blob(each["digest"]), str(each.get("mediaType", "")))
            for each in found.get("layers") or ()
        ]
        config = self._members.content(blob(found["config"]["digest"]))
        if digest_of(config) != found["config"]["digest"]:
            message = (
                f"the configuration of {', '.join(names) or 'an image'} does not have the "
                "digest that the manifest names."
            )
            raise BadArchive(message)
        return self._image(names, config, layers, data)

    # --- what `docker save` has always written ---

    def _of_docker(self) -> Iterator[Image]:
        for entry in self._members.json("manifest.json"):
            tags = [str(tag) for tag in entry.get("RepoTags") or ()]
            names = tuple(full_name(tag) for tag in tags if NAME.fullmatch(tag))
            layers = [("", str(name), "") for name in entry["Layers"] or ()]
            yield self._image(names, self._members.content(str(entry["Config"])), layers, b"")

    # --- both ---

    def _image(
        self,
        names: tuple[str, ...],
        config: bytes,
        layers: Sequence[tuple[str, str, str]],
        manifest: bytes,
    ) -> Image:
        told = from_json(config)
        diffs = [str(each) for each in (told.get("rootfs") or {}).get("diff_ids") or ()]
        if any(not DIGEST.fullmatch(each) for each in diffs) or (
            layers and len(diffs) != len(layers)
        ):
            message = (
                f"{', '.join(map(short_name, names)) or 'an image'} is damaged: its layers do "
                "not match its configuration."
            )
            raise BadArchive(message)
        platform = f"{told.get('os') or 'linux'}/{told.get('architecture') or 'amd64'}"
        if not PLATFORM.fullmatch(platform):
            message = f"one of its images is for `{platform[:80]}`, which is not a platform."
            raise BadArchive(message)
        found, lacks = [], "" if len(layers) == len(diffs) else "all layers"
        for diff, (digest, name, kind) in zip(diffs, layers, strict=False):
            if span := self._members.find(name):
                found.append(self._layer(diff, digest, name, kind, span))
            else:
                lacks = f"the layer {diff[:19]}"
        image = Image(names, platform, config, manifest, tuple(found), lacks)
        return image if manifest else image._replace(manifest=_manifest(image))

    def _layer(self, diff: str, digest: str, name: str, kind: str, span: Span) -> Layer:
        """A layer with its digest and media type, which are computed if the archive lacks them."""
        if not kind:
            start = self._members.start(span)
            packed = {b"\x1f\x8b": "+gzip", b"\x28\xb5": "+zstd"}.get(start[:2], "")
            kind = f"{OCI}layer.v1.tar{packed}"
            stem = posixpath.basename(name)
            if re.fullmatch(r"[0-9a-f]{64}", stem) and posixpath.dirname(name) == "blobs/sha256":
                digest = f"sha256:{stem}"
            else:
                digest = self._members.digest(span) if packed else diff
        if not DIGEST.fullmatch(digest):
            message = f"`{digest[:80]}` in it is not a digest."
            raise BadArchive(message)
        return Layer(diff, digest, kind, span)


def blob(digest: str) -> str:
    """The path of a digest's blob in an OCI layout. Raises BadArchive unless it is `sha256:` and 64
    hex digits."""
    if not DIGEST.fullmatch(str(digest)):
        message = f"`{str(digest)[:80]}` in it is not a digest."
        raise BadArchive(message)
    return f"blobs/sha256/{digest[7:]}"


def _named(notes: Mapping[str, Any]) -> Iterator[str]:
    """The image's full name from annotations: buildx and containerd have it in one of their own,
    skopeo and podman in the one for the tag."""
    full = str(notes.get("io.containerd.image.name") or "")
    if not full:
        full = str(notes.get("org.opencontainers.image.ref.name") or "")
        full = full if ":" in full.rpartition("/")[2] else ""
    if full and NAME.fullmatch(full):
        yield full_name(full)


def _manifest(image: Image) -> bytes:
    """The manifest that a registry would have for the image."""
    config = {
        "mediaType": f"{OCI}config.v1+json", "digest": image.id, "size": len(image.config),
    }  # fmt: skip
    layers = [
        {"mediaType": each.kind, "digest": each.digest, "size": each.span.size}
        for each in image.layers
    ]
    found = {"schemaVersion": 2, "mediaType": f"{OCI}manifest.v1+json", "config": config}
    return json.dumps({**found, "layers": layers}).encode()
