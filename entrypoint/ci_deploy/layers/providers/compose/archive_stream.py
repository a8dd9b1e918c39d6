"""The archive that is sent to a host: our own, made while it is sent, with the layers it lacks.

An engine that keeps layers (overlay2) reads no member whose layer it has on top of the same others;
one that keeps blobs (the containerd image store) none that it has. The manifest comes last, so an
archive that is cut off contains no image.
"""

from __future__ import annotations

import json
import os
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, BinaryIO

from ci_deploy.layers.providers.compose.archive_members import CHUNK, BadArchive, open_archive
from ci_deploy.layers.providers.compose.image_archive import OCI, Image, Layer, blob, full_name
from ci_deploy.process import threads
from ci_deploy.settings.lines import from_json

QUICK = 1  # zlib's fastest level, faster than most uplinks


def missing(images: Sequence[Image], chains: frozenset[tuple[str, ...]]) -> list[Layer]:
    """The layers that no image on the host has on top of the same lower ones (`chains`: diff IDs,
    from the lowest layer up), each once, in the order of the archives."""
    found: dict[str, Layer] = {}
    for image in images:
        for count, layer in enumerate(image.layers, 1):
            if tuple(each.diff_id for each in image.layers[:count]) not in chains:
                found[layer.digest] = layer
    return sorted(found.values(), key=lambda each: each.span)


def stream(images: Mapping[str, Image], layers: Sequence[Layer]) -> int:
    """A descriptor from which to read an archive (gzip) of these layers and images (new name →
    image). A thread writes it, and ends when the reader has closed the descriptor; if an archive
    of the job cannot be read any more, what it writes ends early."""
    read, write = os.pipe()

    def work() -> None:
        # A read error ends the archive before its manifest: the engine refuses it.
        with suppress(OSError, EOFError, zlib.error, BadArchive), os.fdopen(write, "wb") as pipe:
            pack = zlib.compressobj(QUICK, wbits=31)
            for data in _archive(images, layers):
                pipe.write(pack.compress(data))
            pipe.write(pack.flush())

    threads.start(work)
    return read


def _archive(images: Mapping[str, Image], layers: Sequence[Layer]) -> Iterator[bytes]:
    opened: dict[str, BinaryIO] = {}
    try:
        for layer in layers:
            path, offset, size = layer.span
            if str(path) not in opened:
                opened[str(path)] = open_archive(path)
            file = opened[str(path)]
            file.seek(offset)
            yield _header(blob(layer.digest), size)
            left = size
            while left:
                data = file.read(min(CHUNK, left))
                if not data:
                    raise EOFError(str(path))
                left -= len(data)
                yield data
            yield bytes(-size % tarfile.BLOCKSIZE)
    finally:
        for file in opened.values():
            file.close()
    for name, content in _lists(images):
        yield _header(name, len(content)) + content + bytes(-len(content) % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _lists(images: Mapping[str, Image]) -> Iterator[tuple[str, bytes]]:
    """Yield the manifests and configurations of the images, and the lists of them in the formats of
    both kinds of engine: (name, content)."""
    index, docker = [], []
    for name, image in images.items():
        yield blob(image.id), image.config
        yield blob(image.manifest_id), image.manifest
        index.append(_entry(name, image))
        docker.append(
            {
                "Config": blob(image.id),
                "RepoTags": [name],
                "Layers": [blob(each.digest) for each in image.layers],
            }
        )
    found = {"schemaVersion": 2, "mediaType": f"{OCI}index.v1+json", "manifests": index}
    yield "oci-layout", b'{"imageLayoutVersion": "1.0.0"}'
    yield "index.json", json.dumps(found).encode()
    yield "manifest.json", json.dumps(docker).encode()


def _entry(name: str, image: Image) -> dict[str, Any]:
    notes = {
        "io.containerd.image.name": full_name(name),
        "org.opencontainers.image.ref.name": name.rpartition(":")[2],
    }
    kind = from_json(image.manifest).get("mediaType") or f"{OCI}manifest.v1+json"
    return {
        "mediaType": kind, "digest": image.manifest_id, "size": len(image.manifest),
        "annotations": notes,
    }  # fmt: skip


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    return member.tobuf(tarfile.GNU_FORMAT)
